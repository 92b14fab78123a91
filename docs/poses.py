"""Draws docs/poses.png: the bundled student's answers on figures of the synthetic set.

python docs/poses.py
"""

from pathlib import Path

from PIL import Image

from model.data.synthetic import draw_people
from model.pictures import draw_poses
from model.predictor import BUNDLED, Predictor

SIDE_PX = 240
SEED, SHOWN = 5, (1, 3, 13, 17, 21, 22)


def main() -> None:
    predictor = Predictor(BUNDLED)
    people = draw_people(max(SHOWN) + 1, seed=SEED, size_px=320)
    row = Image.new("RGB", (SIDE_PX * len(SHOWN), SIDE_PX))
    for i, person in enumerate(people[j] for j in SHOWN):
        assert person.pixels is not None
        image = Image.fromarray(person.pixels)
        poses = predictor.predict(image, [person.box_img])
        drawn = draw_poses(image, [pose.keypoints_img for pose in poses], predictor.card.skeleton)
        row.paste(drawn.resize((SIDE_PX, SIDE_PX)), (i * SIDE_PX, 0))
    row.quantize(256).save(Path(__file__).with_name("poses.png"), optimize=True)


if __name__ == "__main__":
    main()
