"""The built-in set: exact joints on plausible bodies, the same for a seed, for any skeleton."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data.synthetic import draw_people
from model.data.synthetic.body import (
    LENGTHS,
    LIMITS_DEG,
    POSES,
    Body,
    assemble,
    draw_angles,
    draw_body,
    turn,
)
from model.data.synthetic.canvas import Canvas
from model.skeletons import COCO17, LSP14, MPII16, Skeleton, joint_map

AT_REST = {
    side + name: 0.0
    for name in LIMITS_DEG
    for side in (
        ("left_", "right_")
        if name.startswith(("shoulder", "elbow", "hip", "knee", "ankle"))
        else ("",)
    )
}


def posed(camera=None, **angles_deg: float) -> Body:
    """A body of average build at rest but for the angles given, facing the camera."""
    return assemble(LENGTHS, AT_REST | angles_deg, np.eye(3) if camera is None else camera, stout=1)


def blank_canvas(size: int = 64) -> Canvas:
    """Black, lit from the viewer's side."""
    return Canvas(
        np.zeros((size, size, 3), np.float32),
        np.full((size, size), np.inf, np.float32),
        light=np.array([0, 0, -1], np.float32),
        ambient=1.0,
    )


def test_a_seed_gives_the_same_people_to_the_byte():
    """Two runs of one configuration must see the same data."""
    first, second = draw_people(3, seed=7), draw_people(3, seed=7)

    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        np.testing.assert_array_equal(a.joints_img, b.joints_img)
        assert (a.image, a.box_img, a.head_px) == (b.image, b.box_img, b.head_px)


def test_a_person_does_not_depend_on_how_many_are_drawn():
    """A larger set extends a smaller one, so that validation sets stay comparable."""
    few, many = draw_people(2, seed=3), draw_people(5, seed=3)

    for a, b in zip(few, many, strict=False):
        np.testing.assert_array_equal(a.pixels, b.pixels)


def test_other_seeds_give_other_people():
    """Training and validation are told apart by the seed alone."""
    a, b = draw_people(1, seed=0)[0], draw_people(1, seed=1)[0]

    assert not np.array_equal(a.pixels, b.pixels)
    assert a.image != b.image


@pytest.mark.parametrize("skeleton", [MPII16, COCO17, LSP14], ids=lambda s: s.name)
def test_every_skeleton_labels_the_same_pictures(skeleton: Skeleton):
    """A joint that two skeletons share lies at the same place of the same picture."""
    people, others = draw_people(4, seed=5, skeleton=skeleton), draw_people(4, seed=5)
    shared = joint_map(MPII16, skeleton)

    for person, other in zip(people, others, strict=True):
        np.testing.assert_array_equal(person.pixels, other.pixels)
        np.testing.assert_array_equal(
            person.joints_img[shared >= 0], other.joints_img[shared[shared >= 0]]
        )


def test_a_skeleton_with_a_joint_that_figures_lack_is_refused():
    """Nothing is made up: the message names the joint."""
    tailed = Skeleton("cat", ("nose", "tail"), (), (0.03, 0.1), {})

    with pytest.raises(ValueError, match="no tail"):
        draw_people(1, seed=0, skeleton=tailed)


@pytest.mark.parametrize("size_px", [64, 200])
def test_records_hold_together(size_px: int):
    """Labelled joints lie within the figure's box, and that within the picture."""
    for person in draw_people(12, seed=2, size_px=size_px):
        assert person.pixels is not None and person.visible is not None
        assert person.pixels.shape == (size_px, size_px, 3)
        assert person.pixels.dtype == np.uint8
        box = person.box_img
        assert box.x >= 0 and box.x + box.width <= size_px
        assert box.y >= 0 and box.y + box.height <= size_px
        x, y = person.joints_img[person.labelled, :2].T
        assert (x > box.x - 2).all() and (x < box.x + box.width + 1).all()
        assert (y > box.y - 2).all() and (y < box.y + box.height + 1).all()
        assert not person.joints_img[~person.labelled].any()
        assert not person.visible[~person.labelled].any()
        assert person.head_px is not None and 2 < person.head_px < size_px / 2


def test_most_joints_are_labelled_and_many_but_not_all_are_seen():
    """The set teaches occlusion and truncation without being made of them."""
    people = draw_people(60, seed=11, size_px=96)

    labelled = np.mean([person.labelled.mean() for person in people])
    seen = np.mean([np.mean(person.visible) for person in people])

    assert 0.95 < labelled < 1
    assert 0.6 < seen < 0.95


@given(st.integers(0, 2**32), st.sampled_from(sorted(POSES)))
def test_angles_stay_within_what_joints_can_do(seed: int, kind: str):
    """Knees and elbows never bend backwards, however odd the pose."""
    for name, angle in draw_angles(np.random.default_rng(seed), kind).items():
        low, high = LIMITS_DEG[name.removeprefix("left_").removeprefix("right_")]
        assert low <= angle <= high, name


@settings(max_examples=30)
@given(st.integers(0, 2**32))
def test_segments_are_rigid(seed: int):
    """A pose turns segments and never stretches them; the two sides are of one size."""
    points = draw_body(np.random.default_rng(seed)).points

    def length(a: str, b: str) -> float:
        return float(np.linalg.norm(points[a] - points[b]))

    for upper, lower in (
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
        ("hip", "knee"),
        ("knee", "ankle"),
    ):
        left = length(f"left_{upper}", f"left_{lower}")
        assert left == pytest.approx(length(f"right_{upper}", f"right_{lower}"))
        assert 0.1 < left < 0.3


def test_a_body_at_rest_is_one_stature_tall():
    """The published segment lengths add up."""
    points = posed().points

    assert points["left_heel"][1] - points["head_top"][1] == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize(("yaw_deg", "sign"), [(0, 1), (180, -1)])
def test_left_is_on_the_right_of_a_person_who_faces_us(yaw_deg: float, sign: int):
    """Sides follow from the facing, as in photographs; the nose tells which it is."""
    points = posed(turn("y", yaw_deg)).points

    for joint in ("shoulder", "hip", "ankle", "eye"):
        assert sign * (points[f"left_{joint}"][0] - points[f"right_{joint}"][0]) > 0.02
    assert sign * (points["nose"][2] - points["skull"][2]) < -0.02


@pytest.mark.parametrize(
    ("angle", "joint", "axis", "sign"),
    [
        ("left_elbow", "left_wrist", 2, -1),  # towards the camera, where the body faces
        ("left_knee", "left_ankle", 2, 1),  # away from it
        ("left_hip_flex", "left_knee", 2, -1),
        ("left_shoulder_flex", "left_elbow", 2, -1),
        ("left_shoulder_abduct", "left_elbow", 0, 1),  # outwards: its left is our right
        ("right_shoulder_abduct", "right_elbow", 0, -1),
        ("right_hip_abduct", "right_knee", 0, -1),
        ("spine_bend", "head_top", 2, -1),
    ],
)
def test_a_positive_angle_moves_a_joint_the_anatomical_way(
    angle: str, joint: str, axis: int, sign: int
):
    """A wrong sign would teach people who bend backwards."""
    moved = posed(**{angle: 40.0}).points[joint] - posed().points[joint]

    assert sign * moved[axis] > 0.05


@settings(max_examples=30)
@given(st.floats(20, 44), st.floats(20, 44))
def test_a_shape_is_painted_where_it_is(x: float, y: float):
    """Pixel centres are integers: a ball's centre of gravity is its centre."""
    canvas = blank_canvas()

    canvas.ellipsoid((x, y, 0), np.eye(3), (9, 9, 9), lambda own: np.full((1, 1, 3), 255.0))

    weight = canvas.pixels[..., 0] / canvas.pixels[..., 0].sum()
    rows, columns = np.mgrid[:64, :64]
    assert (weight * columns).sum() == pytest.approx(x, abs=0.02)
    assert (weight * rows).sum() == pytest.approx(y, abs=0.02)


@pytest.mark.parametrize("near_first", [True, False])
def test_the_nearer_shape_hides_the_other_in_any_order(near_first: bool):
    """Who hides whom is a matter of depth, not of the order of painting."""
    canvas = blank_canvas()
    shapes = [(-20.0, 200.0), (20.0, 90.0)]

    for z, grey in shapes if near_first else shapes[::-1]:
        colour = np.full((1, 1, 3), grey)
        canvas.tube((10, 32, z), (54, 32, z), (6, 6, 6), lambda t, a, b, c=colour: c)

    assert canvas.pixels[32, 32, 0] == 200


def test_a_shape_off_the_canvas_is_no_fault():
    """A figure cut by the picture's edge has whole limbs outside."""
    canvas = blank_canvas()

    canvas.tube((-90, 5, 0), (-50, 5, 0), (4, 4, 4), lambda t, a, b: np.zeros((1, 1, 3)))

    assert not np.isfinite(canvas.depth).any()
