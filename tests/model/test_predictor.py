"""The deployed student: a photograph and boxes in, poses on the photograph out."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from model.data.synthetic import draw_people
from model.errors import BoxInvalid, ModelUnusable
from model.geometry import Box
from model.predictor import BUNDLED, METADATA_KEY, Card, Predictor
from model.skeletons import COCO17, MPII16

PEOPLE = draw_people(6, seed=77, size_px=150)


@pytest.fixture(scope="module")
def predictor(finished_run) -> Predictor:
    return Predictor(finished_run.student("wide"))


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def beside(image: Image.Image, box: Box) -> Box:
    """The box on the mirrored image."""
    return Box(image.width - box.x - box.width, box.y, box.width, box.height)


def in_mirror(keypoints_img: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The same joints on the mirrored image: left and right exchanged."""
    turned = keypoints_img[MPII16.flip_order].copy()
    turned[:, 0] = width - 1 - turned[:, 0]
    return turned


# Poses


def test_poses_are_on_the_photograph_in_the_boxes_order(predictor: Predictor):
    """The crop's joints, taken back; the pose's score is their mean."""
    image = Image.fromarray(PEOPLE[0].pixels)
    boxes = [Box(10, 5, 100, 130), Box(-20, 30.5, 90, 70)]

    poses = predictor.predict(image, boxes)

    assert [pose.box for pose in poses] == boxes
    for pose, box in zip(poses, boxes, strict=True):
        crop = predictor.crop_around(box)
        expected = predictor.infer(crop.cut(image)[None])[0]
        np.testing.assert_allclose(
            crop.from_image(pose.keypoints_img[:, :2]), expected[:, :2], atol=1e-3
        )
        np.testing.assert_allclose(pose.keypoints_img[:, 2], expected[:, 2], atol=1e-5)
        assert pose.score == pytest.approx(expected[:, 2].mean(), abs=1e-5)
        assert pose.keypoints_img.dtype == np.float64


def test_nobody_in_nobody_out(predictor: Predictor):
    """An empty list of boxes is a list."""
    assert predictor.predict(Image.new("RGB", (10, 10)), []) == []


def test_a_person_is_found_wherever_they_stand(predictor: Predictor):
    """The same pixels at another place of the photograph: the same pose, moved."""
    person = Image.fromarray(PEOPLE[1].pixels)
    box = PEOPLE[1].box_img

    def at(x: int, y: int) -> NDArray[np.float64]:
        image = Image.new("RGB", (600, 500), "grey")
        image.paste(person, (x, y))
        (pose,) = predictor.predict(image, [Box(box.x + x, box.y + y, box.width, box.height)])
        return pose.keypoints_img - np.array([x, y, 0])

    np.testing.assert_allclose(at(231, 187), at(120, 130), atol=0.01)


@pytest.mark.parametrize("scale", [2, 4])
def test_a_larger_photograph_gives_the_same_pose_enlarged(predictor: Predictor, scale: int):
    """Pixel centres at integers: x becomes scale·x + (scale − 1)/2."""
    image = Image.fromarray(PEOPLE[2].pixels)
    large = image.resize((150 * scale, 150 * scale), Image.Resampling.NEAREST)
    box = Box(0, 0, 150, 150)

    (plain,) = predictor.predict(image, [box])
    (enlarged,) = predictor.predict(large, [Box(0, 0, 150 * scale, 150 * scale)])

    sure = plain.keypoints_img[:, 2] > 0.2
    back = (enlarged.keypoints_img[:, :2] - (scale - 1) / 2) / scale
    distance = np.linalg.norm(back - plain.keypoints_img[:, :2], axis=-1)
    assert sure.sum() >= 4
    assert np.median(distance[sure]) < 1.5  # another reduction, another few grey values


# Mirrors


def test_with_a_flip_test_a_mirrored_crop_gives_the_mirrored_pose(predictor: Predictor):
    """Exactly, whatever the weights are: both densities are averaged, in either order."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (4, *predictor.card.size, 3), np.uint8)
    width = predictor.card.size[1]

    ours = predictor.infer(noise, flip_test=True)
    theirs = predictor.infer(noise[:, :, ::-1].copy(), flip_test=True)

    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(other, in_mirror(mine, width), atol=1e-2)


@pytest.mark.parametrize("i", range(len(PEOPLE)))
def test_a_mirrored_photograph_gives_the_mirrored_pose(predictor: Predictor, i: int):
    """The whole pipeline: photograph and box mirrored, left and right exchanged."""
    person, image = PEOPLE[i], Image.fromarray(PEOPLE[i].pixels)
    box = Box(*(round(v) for v in person.box_img.as_list()))

    (ours,) = predictor.predict(image, [box], flip_test=True)
    (theirs,) = predictor.predict(mirrored(image), [beside(image, box)], flip_test=True)

    expected = in_mirror(ours.keypoints_img, image.width)
    np.testing.assert_allclose(theirs.keypoints_img, expected, atol=0.1)


def test_a_flip_test_changes_the_answer(predictor: Predictor):
    """Otherwise the tests above would hold for a flip test that is not done."""
    image, boxes = Image.fromarray(PEOPLE[0].pixels), [PEOPLE[0].box_img]

    (plain,) = predictor.predict(image, boxes)
    (tested,) = predictor.predict(image, boxes, flip_test=True)

    assert not np.allclose(plain.keypoints_img, tested.keypoints_img, atol=0.1)


# Bad boxes


@pytest.mark.parametrize("box", [Box(200, 0, 5, 5), Box(0, -9, 5, 9), Box(-5, 0, 5, 5)])
def test_a_box_off_the_image_is_named(predictor: Predictor, box: Box):
    """Of several boxes the faulty one, with the image's size."""
    image = Image.new("RGB", (200, 150))

    with pytest.raises(BoxInvalid) as caught:
        predictor.predict(image, [Box(0, 0, 10, 10), box])

    assert str(caught.value) == (
        f"boxes[1] {box.as_list()} lies outside the image of 200 × 150 pixels"
    )


@pytest.mark.parametrize("box", [Box(-1e6, -1e6, 2e6, 2e6), Box(199.5, 149.5, 1e-3, 1e-3)])
def test_an_odd_box_on_the_image_is_answered(predictor: Predictor, box: Box):
    """Far larger than the image, or a thousandth of a pixel: finite numbers."""
    (pose,) = predictor.predict(Image.new("RGB", (200, 150), "grey"), [box])

    assert np.isfinite(pose.keypoints_img).all()


# Threads


def test_threads_share_a_predictor(predictor: Predictor):
    """The server answers several requests at once."""
    crops = np.stack(
        [predictor.crop_around(p.box_img).cut(Image.fromarray(p.pixels)) for p in PEOPLE]
    )
    alone = [predictor.infer(crop[None]) for crop in crops]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda i: predictor.infer(crops[i % 6][None]), range(48)))

    for i, found in enumerate(together):
        np.testing.assert_allclose(found, alone[i % 6], atol=1e-4)


# Files that are not ours


def model_with(metadata: dict[str, str], path: Path) -> Path:
    """A well-formed ONNX file that has nothing to do with poses."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])],
        "foreign",
        [value("a", TensorProto.FLOAT, [1])],
        [value("b", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes | None):
    """By its name alone: the text may reach a stranger."""
    path = tmp_path / "student.onnx"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ModelUnusable) as caught:
        Predictor(path)

    assert str(caught.value) == "student.onnx is not a model that ONNX Runtime can load"


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {METADATA_KEY: ""},
        {METADATA_KEY: "[]"},
        {METADATA_KEY: "{}"},
        {METADATA_KEY: '{"format": "1"}'},
        {METADATA_KEY: '{"format": "2", "branch": "a"}'},
        {METADATA_KEY: '{"format": "1", "branch": "a", "skeleton": {"name": "x"}, "size": 3}'},
    ],
)
def test_a_model_of_somebody_else_is_refused(tmp_path: Path, metadata: dict[str, str]):
    """Its outputs would be read as joints."""
    path = model_with(metadata, tmp_path / "foreign.onnx")

    with pytest.raises(ModelUnusable, match=r"foreign\.onnx is not a student of okdhp"):
        Predictor(path)


def test_a_student_cut_short_is_refused(finished_run, tmp_path: Path):
    """An upload that broke off."""
    path = tmp_path / "half.onnx"
    content = finished_run.student("slim").read_bytes()
    path.write_bytes(content[: len(content) // 2])

    with pytest.raises(ModelUnusable, match=r"half\.onnx"):
        Predictor(path)


@pytest.mark.parametrize(
    ("provider", "told"),
    [
        ("gpu", "unknown provider 'gpu'; accepted: cpu, cuda, tensorrt"),
        ("tensorrt", "TensorrtExecutionProvider is not in the installed ONNX Runtime"),
    ],
)
def test_a_provider_that_is_not_there_is_refused(finished_run, provider: str, told: str):
    """A server asked for a GPU must not quietly serve from the CPU."""
    with pytest.raises(ModelUnusable, match=told):
        Predictor(finished_run.student("slim"), provider=provider)


def test_the_provider_is_the_sessions_own(finished_run):
    """What answers, not what was asked for; one thread if so wished."""
    one = Predictor(finished_run.student("slim"), provider="cpu", threads=1)

    assert one.provider == "CPUExecutionProvider"


# Cards


def test_a_card_comes_back_from_its_text():
    """It travels in the file's metadata."""
    card = Card("b", COCO17, (256, 192), 0.25, "run-7", ("lsp:train", "mpii"), "CC0", {"a": 1.5})

    assert Card.from_json(card.to_json()) == card


@pytest.mark.skipif(not BUNDLED.is_file(), reason="the bundled student is not there yet")
def test_the_student_that_ships_finds_a_drawn_person():
    """From the first start on; at most 8 MB."""
    student = Predictor(BUNDLED)

    assert BUNDLED.stat().st_size <= 8_000_000
    assert student.card.skeleton == MPII16
    (pose,) = student.predict(Image.fromarray(PEOPLE[0].pixels), [PEOPLE[0].box_img])
    assert pose.keypoints_img.shape == (16, 3)
