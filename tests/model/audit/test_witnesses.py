"""What a real run's branches are heard to say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.audit.witnesses import POWERS, Run, photographs_of
from model.config import SourceConfig
from model.data.packing import exact_crops
from model.data.person import Person
from model.data.synthetic import draw_people
from model.errors import ConfigError
from model.evaluation import on_images
from model.geometry import STRIDE, Box, Crop, map_to_crop
from model.skeletons import MPII16
from model.training.outcome.judge import keypoints
from model.training.state.session import Session

CPU = torch.device("cpu")
PEOPLE = 7


@pytest.fixture(scope="module")
def run(finished_run) -> Run:
    return Run.open(
        finished_run.folder / "checkpoints" / "best.pt", finished_run.config.data.train, CPU
    )


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return draw_people(PEOPLE, seed=8, size_px=96)


def mirrored(person: Person) -> Person:
    """The person in a mirror, labels and all."""
    assert person.pixels is not None
    width = person.pixels.shape[1]
    joints = person.joints_img[MPII16.flip_order].copy()
    joints[:, 0] = width - 1 - joints[:, 0]
    joints[joints[:, 2] == 0] = 0
    box = person.box_img
    return replace(
        person,
        pixels=np.ascontiguousarray(person.pixels[:, ::-1]),
        joints_img=joints,
        box_img=Box(width - box.x - box.width, box.y, box.width, box.height),
    )


def test_every_branch_speaks_twice(run, people, finished_run):
    """Of the crop as serving would have it, and of its mirror image; the ensemble not at all."""
    heard = run.hear(people)

    B = len(finished_run.config.network.branches)
    assert heard.points_img.shape == (2 * B, PEOPLE, len(MPII16), 3)
    assert heard.at_label.shape == (len(POWERS), 2 * B, PEOPLE, len(MPII16))
    data = finished_run.config.data
    crops, ways = exact_crops(people, data.crop_px, data.padding)
    plain = keypoints(run.learner, crops, run.config, run.skeleton, flip_test=False)
    for b, name in enumerate(run.learner.network.names):
        np.testing.assert_allclose(
            heard.points_img[b], on_images(plain[name], ways), rtol=1e-4, atol=1e-3
        )


def test_a_mirrored_person_exchanges_who_speaks_and_what_of(run, people):
    """What is said of the crop is what the mirror's witnesses say of the mirrored one, to the
    other side's joint."""
    plain, other = run.hear(people), run.hear([mirrored(person) for person in people])

    B, order = len(plain.points_img) // 2, MPII16.flip_order
    flags = np.stack([person.labelled for person in people])
    for ours, theirs in ((slice(None, B), slice(B, None)), (slice(B, None), slice(None, B))):
        back = other.points_img[theirs][:, :, order]
        back[..., 0] = 95 - back[..., 0]
        np.testing.assert_allclose(back, plain.points_img[ours], atol=0.1)
        for name in ("at_label", "at_mirror"):
            said, again = getattr(plain, name)[:, ours], getattr(other, name)[:, theirs]
            both = flags & flags[:, order]
            np.testing.assert_allclose(
                again[..., order][:, :, both], said[:, :, both], rtol=0.05, atol=1e-5
            )


@pytest.mark.parametrize("term", ["mse", "ce"])
def test_the_density_of_all_places_is_one(make_config, tmp_path: Path, people, term):
    """Over the cells of a map, each as large as it is on the photograph; in any power."""
    config = make_config(f"target.term={term}")
    Session(config, MPII16, CPU).save_judged(tmp_path / "best.pt")
    run = Run.open(tmp_path / "best.pt", (), CPU)
    (H, W), K = config.data.crop_px, len(MPII16)
    cells_map = np.stack(np.meshgrid(np.arange(W / STRIDE), np.arange(H / STRIDE)), -1)
    way = Crop.around(people[0].box_img, config.data.crop_px, padding=config.data.padding)
    places = way.to_image(map_to_crop(cells_map.reshape(-1, 2))).astype(np.float32)
    joints = np.concatenate([places, np.ones((len(places), 1), np.float32)], 1)
    crowd = [replace(people[0], joints_img=np.repeat(row[None], K, 0)) for row in joints]

    heard = run.hear(crowd)

    cell_px = (STRIDE / way.px_per_image_px) ** 2
    np.testing.assert_allclose(heard.at_label.sum(2) * cell_px, 1, rtol=1e-3)


def test_a_place_off_the_map_is_impossible(run, people):
    """A label there is nowhere that a witness could have it."""
    away = people[0].joints_img.copy()
    away[3] = 10_000, -10_000, 1

    heard = run.hear([replace(people[0], joints_img=away)])

    assert (heard.at_label[..., 0, 3] == 0).all()


def test_a_run_of_one_branch_is_refused(make_config, tmp_path: Path):
    """Nobody could agree with it."""
    config = make_config("network.branches=[{}]", "scheme.name=none")
    Session(config, MPII16, CPU).save_judged(tmp_path / "best.pt")

    with pytest.raises(ConfigError, match="one branch"):
        Run.open(tmp_path / "best.pt", (), CPU)


def test_a_run_knows_whom_it_learnt_from(run, people, finished_run):
    """By the photograph's name; where that cannot be told, everybody may be known to it."""
    seen = draw_people(2, seed=1, size_px=96)

    assert run.has_learnt([*people[:2], *seen]).tolist() == [False, False, True, True]
    gone = SourceConfig(format="lsp", path=Path("nowhere"), split="train")
    assert photographs_of([*finished_run.config.data.train, gone]) is None
    assert replace(run, learnt=None).has_learnt(people).all()
