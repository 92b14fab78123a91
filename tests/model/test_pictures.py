"""Pictures for people: drawn where the joints are, in the right colours, quietly on odd input."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from model.pictures import SIDE_COLOURS, comparison, curves, draw_poses
from model.skeletons import COCO17, LSP14, MPII16, SKELETONS, Skeleton

PAIR = Skeleton("pair", ("left_a", "left_b"), (("left_a", "left_b"),), (0.1, 0.1), {})


def black(width: int = 120, height: int = 90) -> Image.Image:
    return Image.new("RGB", (width, height))


def pose(skeleton: Skeleton, **joints: tuple[float, float, float]) -> NDArray[np.float64]:
    """`[K, 3]` with the named joints and nothing else."""
    points = np.zeros((len(skeleton), 3))
    for name, values in joints.items():
        points[skeleton.index(name)] = values
    return points


def test_the_photograph_itself_is_left_alone():
    """A caller may draw several variants of one photograph."""
    image = black()

    drawn = draw_poses(image, [pose(PAIR, left_a=(20, 20, 1), left_b=(60, 60, 1))], PAIR)

    assert not np.asarray(image).any()
    assert np.asarray(drawn).any()
    assert (drawn.mode, drawn.size) == ("RGB", image.size)


@given(st.floats(20, 60), st.floats(20, 60))
def test_a_joint_is_drawn_where_it_is(x: float, y: float):
    """Pixel centres are integers here as everywhere: the dot's centre of gravity is the joint."""
    drawn = np.asarray(draw_poses(black(), [pose(PAIR, left_a=(x, y, 1))], PAIR), np.float64)

    weight = drawn[..., 2] / drawn[..., 2].sum()
    rows, columns = np.mgrid[:90, :120]
    assert (weight * columns).sum() == pytest.approx(x, abs=0.05)
    assert (weight * rows).sum() == pytest.approx(y, abs=0.05)


@settings(max_examples=50)
@given(st.floats(0, 360))
def test_a_limb_is_as_wide_in_every_direction(angle_deg: float):
    """Steep lines are drawn by exchanged axes and must not show it."""

    def area(angle: float) -> float:
        reach = 35 * np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
        ends = (np.array([50.0, 50.0]) - reach, np.array([50.0, 50.0]) + reach)
        limb = pose(PAIR, left_a=(*ends[0], 1), left_b=(*ends[1], 1))
        return float(np.asarray(draw_poses(black(101, 101), [limb], PAIR), np.float64).sum())

    assert area(angle_deg) == pytest.approx(area(0), rel=0.03)


def test_limbs_take_the_colour_of_their_side():
    """Swapped sides are the commonest error of a network and must be seen at a glance."""
    points = pose(
        MPII16,
        left_elbow=(100, 20, 1),
        left_wrist=(100, 60, 1),
        right_elbow=(20, 20, 1),
        right_wrist=(20, 60, 1),
        upper_neck=(60, 20, 1),
        head_top=(60, 60, 1),
    )

    drawn = draw_poses(black(), [points], MPII16)

    assert drawn.getpixel((100, 40)) == SIDE_COLOURS["left"]
    assert drawn.getpixel((20, 40)) == SIDE_COLOURS["right"]
    assert drawn.getpixel((60, 40)) == SIDE_COLOURS["middle"]


def test_a_limb_between_the_sides_is_of_neither():
    """The line from hip to hip."""
    points = pose(COCO17, left_hip=(90, 40, 1), right_hip=(30, 40, 1))

    assert draw_poses(black(), [points], COCO17).getpixel((60, 40)) == SIDE_COLOURS["middle"]


def test_opacity_follows_the_score():
    """A guess must look like one."""
    brightness = []
    for score in (0.1, 0.5, 0.9):
        limb = pose(PAIR, left_a=(20, 40, 1), left_b=(100, 40, score))
        brightness.append(sum(draw_poses(black(), [limb], PAIR).getpixel((60, 40))))

    assert 0 < brightness[0] < brightness[1] < brightness[2]


@pytest.mark.parametrize("score", [0.0, -1.0, 0.29, float("nan")])
def test_a_joint_without_the_score_asked_for_is_left_out_with_its_limbs(score: float):
    """An unlabelled joint lies at (0, 0) and would draw limbs into the corner."""
    limb = pose(PAIR, left_a=(20, 40, 1), left_b=(100, 40, score))

    drawn = draw_poses(black(), [limb], PAIR, min_score=0.3)

    assert drawn.getpixel((60, 40)) == (0, 0, 0)
    assert drawn.getpixel((20, 40)) == SIDE_COLOURS["left"]


def test_width_follows_the_persons_size():
    """Lines of a small person far away must not cover them."""

    def width(reach: int) -> int:
        limb = pose(PAIR, left_a=(20, 150, 1), left_b=(20 + reach, 150, 1))
        drawn = np.asarray(draw_poses(black(2000, 300), [limb], PAIR))
        return int(drawn[:, 20 + reach // 2].any(1).sum())

    assert width(100) < width(600) < width(1900)


@pytest.mark.parametrize(
    "odd",
    [(np.nan, 5, 1), (np.inf, 5, 1), (5, -np.inf, 1), (1e12, 5, 1), (-100, -80, 1), (119, 89, 1)],
)
def test_odd_points_do_no_harm(odd: tuple[float, float, float]):
    """A network out of its depth answers anything; the picture still comes."""
    draw_poses(black(), [pose(PAIR, left_a=(20, 40, 1), left_b=odd)], PAIR)


def test_people_partly_outside_are_drawn_as_far_as_one_sees_them():
    """A point may lie beyond the edge where the body does."""
    limb = pose(PAIR, left_a=(-60, 45, 1), left_b=(60, 45, 1))

    assert draw_poses(black(), [limb], PAIR).getpixel((0, 45)) == SIDE_COLOURS["left"]


def test_nobody_and_other_modes_are_fine():
    """A grey photograph without anybody is a photograph."""
    assert draw_poses(Image.new("L", (8, 8), 7), [], PAIR).getpixel((3, 3)) == (7, 7, 7)


def test_a_pose_of_another_skeleton_is_refused():
    """Silently drawn, its limbs would join the wrong joints."""
    with pytest.raises(ValueError, match=r"a pose of mpii16 is \(16, 3\), not \(14, 3\)"):
        draw_poses(black(), [np.zeros((14, 3))], MPII16)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("people", [1, 5])
def test_a_comparison_shows_everyone_twice(skeleton: Skeleton, people: int):
    """Truth and prediction of one person stand side by side."""
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(10, 80, (len(skeleton), 2)), np.ones(len(skeleton))])
    rows = [(black(96, 96), points, points + np.array([3, 0, 0]))] * people

    sheet = comparison(rows, skeleton, tile_px=120)

    shown = (np.asarray(sheet) != 255).any(-1).mean()
    assert sheet.height > 120 * -(-people // 4)
    assert shown > 0.3


def test_a_comparison_shows_no_unlabelled_truth():
    """The truth's third column is a flag, and 0 means that nobody knows."""
    unlabelled, predicted = pose(PAIR), pose(PAIR, left_a=(48, 48, 1))

    sheet = np.asarray(comparison([(black(96, 96), unlabelled, predicted)], PAIR, tile_px=96))

    blue = (sheet == SIDE_COLOURS["left"]).all(-1)[:-20]  # without the legend
    columns = np.flatnonzero(blue.any(0))
    assert columns.min() > 96


def test_a_comparison_of_nobody_is_refused():
    """An empty sheet would look like a fault of the run."""
    with pytest.raises(ValueError, match="at least one person"):
        comparison([], LSP14)


def entry(epoch: int, **changes: Any) -> dict[str, Any]:
    """An epoch as the run's events tell it."""
    return {
        "epoch": epoch,
        "loss": {"total": 2 / epoch, "label": 1 / epoch, "distill": 0.0},
        "branches": {"a": {"pck@0.2": 10.0 * epoch}, "b": {"pck@0.2": None}},
        "ensemble": {"pck@0.2": 11.0 * epoch},
    } | changes


@pytest.mark.parametrize(
    "history",
    [
        [entry(1)],
        [entry(1), entry(2), entry(3)],
        [entry(1, ensemble={}), entry(2, ensemble=None)],
        [entry(1, branches={}), entry(2)],
        [entry(1, loss={}, branches={}, ensemble={})],
        [entry(1, loss={"total": float("nan")}), entry(2, loss={"total": 1.0})],
    ],
    ids=["one epoch", "several", "no ensemble", "a gap", "nothing known", "a loss of NaN"],
)
def test_curves_are_drawn_of_whatever_a_run_tells(history: list[dict[str, Any]], tmp_path: Path):
    """A run that was stopped early or diverged is the one whose curves are wanted."""
    curves(history, tmp_path / "curves.png")

    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 800
        assert np.asarray(picture.convert("L")).std() > 5
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_curves_of_no_epoch_are_refused(tmp_path: Path):
    """And no file is left that would be taken for a result."""
    with pytest.raises(ValueError, match="at least one epoch"):
        curves([], tmp_path / "curves.png")

    assert not list(tmp_path.iterdir())


def test_drawing_poses_needs_neither_matplotlib_nor_torch(tmp_path: Path):
    """Production has neither; and pyplot's global state must stay out of the training process."""
    program = (
        "import sys; from pathlib import Path; from model.pictures import curves; "
        "assert not {'matplotlib', 'torch'} & set(sys.modules); "
        "curves([{'epoch': 1, 'loss': {'total': 1}}], Path(sys.argv[1])); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    root = Path(__file__).parents[2]

    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "curves.png")], cwd=root, check=True
    )
