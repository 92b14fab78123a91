"""Boxes, crops and mirrors: every frame's conversions, forth and back."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from model.errors import BoxInvalid
from model.geometry import Box, Crop, Crops, crop_to_map, map_to_crop

SIZE = (96, 64)  # (H, W) of the crops here: not square, so that exchanged axes show


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, width=32)


boxes = st.builds(Box, numbers(-500, 3000), numbers(-500, 3000), numbers(1, 4000), numbers(1, 4000))
ways = {
    "padding": numbers(0, 1),
    "turn_deg": numbers(-180, 180),
    "zoom": numbers(0.5, 2),
    "flip": st.booleans(),
}
crops = st.builds(lambda box, **how: Crop.around(box, SIZE, **how), boxes, **ways)
points = st.lists(st.tuples(numbers(-1000, 5000), numbers(-1000, 5000)), min_size=1, max_size=5)


def ramp(height: int, width: int, across: float, down: float) -> np.ndarray:
    """A picture whose grey value tells where it is: grows by `across` and `down` a pixel."""
    y, x = np.mgrid[:height, :width]
    return 20 + across * x + down * y


def picture(grey: np.ndarray) -> Image.Image:
    return Image.fromarray(np.repeat(np.round(grey)[..., None], 3, -1).astype(np.uint8))


# Boxes


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(4))
def test_a_box_of_no_finite_number_is_refused(place: int, value: float):
    """One NaN would spread over every joint of the answer."""
    values = [1.0, 2.0, 3.0, 4.0]
    values[place] = value

    with pytest.raises(BoxInvalid, match="not a finite number"):
        Box(*values)


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (-1, 5), (5, -0.5)])
def test_a_box_of_no_area_is_refused(width: float, height: float):
    """It has no scale."""
    with pytest.raises(BoxInvalid, match="has no area"):
        Box(0, 0, width, height)


def test_the_whole_image_reaches_from_its_first_to_its_last_pixel():
    """Centres are at integers: of 5 pixels the middle one is 2."""
    box = Box.whole((3, 5))

    assert box.as_list() == [0, 0, 5, 3]
    assert box.centre == (2.0, 1.0)


def test_the_box_around_points_holds_their_pixels():
    """Points at pixels 10 and 12 span three pixels."""
    assert Box.around([[10, 20], [12, 20]]).as_list() == [10, 20, 3, 1]


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        (Box(0, 0, 1, 1), True),
        (Box(-10, -10, 10.5, 10.5), True),
        (Box(-10, 0, 10, 5), False),
        (Box(8, 0, 5, 5), False),
        (Box(7.5, 5.5, 5, 5), True),
        (Box(0, 6, 5, 5), False),
    ],
)
def test_a_box_overlaps_an_image_only_where_it_shares_area(box: Box, inside: bool):
    """A box that only touches the edge shows nothing of the image."""
    assert box.overlaps((6, 8)) is inside


# Frames


def test_a_cells_centre_is_in_the_middle_of_its_four_pixels():
    """x_crop = 4·x_map + 1.5: cell 0 covers the pixels 0 to 3."""
    assert map_to_crop(np.array([0.0, 1.0])).tolist() == [1.5, 5.5]
    assert crop_to_map(np.array([1.5, 5.5])).tolist() == [0.0, 1.0]


@given(x_map=numbers(-1, 20))
def test_a_mirrored_map_is_the_map_of_the_mirrored_crop(x_map: float):
    """What the published code repairs by a shift of one cell is exact here."""
    cells, pixels = 16, 64

    mirrored_crop = (pixels - 1) - map_to_crop(x_map)

    assert crop_to_map(mirrored_crop) == pytest.approx((cells - 1) - x_map, abs=1e-6)


# Crops: points


@given(crop=crops, points_img=points)
def test_a_point_comes_back_to_where_it_was(crop: Crop, points_img: list[tuple[float, float]]):
    """Rotation and mirror are the cases that an inverse written by hand gets wrong."""
    back_img = crop.to_image(crop.from_image(points_img))

    np.testing.assert_allclose(back_img, points_img, atol=1e-3)


@given(box=boxes, how=st.fixed_dictionaries(ways))
def test_the_boxs_centre_is_the_crops(box: Box, how: dict[str, float]):
    """However it is turned, zoomed or mirrored."""
    crop = Crop.around(box, SIZE, **how)

    np.testing.assert_allclose(crop.from_image(box.centre), [(64 - 1) / 2, (96 - 1) / 2], atol=1e-6)


@given(box=boxes, padding=numbers(0, 1))
def test_the_padded_box_fits_into_the_crop_and_fills_it_one_way(box: Box, padding: float):
    """Nothing of the person is cut off, and no pixel is wasted."""
    crop = Crop.around(box, SIZE, padding=padding)

    grown = 1 + 2 * padding
    cx, cy = box.centre
    reach = np.array([box.width * grown / 2, box.height * grown / 2])
    low, high = crop.from_image([np.array([cx, cy]) - reach, np.array([cx, cy]) + reach])
    across, down = high - low
    assert across <= 64 + 1e-6
    assert down <= 96 + 1e-6
    assert across == pytest.approx(64, abs=1e-6) or down == pytest.approx(96, abs=1e-6)


def test_a_turn_is_clockwise():
    """A hand above the head points to the right after a quarter turn."""
    crop = Crop.around(Box(0, 0, 64, 64), (64, 64), padding=0, turn_deg=90)

    above, centre = crop.from_image([[31.5, 21.5], [31.5, 31.5]])

    np.testing.assert_allclose(above - centre, [10, 0], atol=1e-9)


@given(box=boxes, how=st.fixed_dictionaries({**ways, "flip": st.just(False)}), points_img=points)
def test_a_flip_mirrors_the_crop_at_last(box: Box, how: dict[str, float], points_img: list):
    """After the turn, so that a flipped crop is the mirror image of the plain one."""
    plain = Crop.around(box, SIZE, **how).from_image(points_img)
    flipped = Crop.around(box, SIZE, **(how | {"flip": True})).from_image(points_img)

    np.testing.assert_allclose(flipped[:, 0], 63 - plain[:, 0], atol=1e-6)
    np.testing.assert_allclose(flipped[:, 1], plain[:, 1], atol=1e-6)


@given(many=st.lists(crops, max_size=4), points_crop=points)
def test_many_crops_points_come_back_as_one_by_one(
    many: list[Crop], points_crop: list[tuple[float, float]]
):
    """Whole validation sets are brought back at once; nobody's way is another's."""
    ways = Crops(many, SIZE)
    answers = np.arange(len(many))[:, None, None] + np.array(points_crop)  # differ by crop

    found = ways.to_image(answers)

    assert len(ways) == len(found) == len(many)
    for way, crop, answer, back in zip(ways, many, answers, found, strict=True):
        np.testing.assert_array_equal(way.matrix, crop.matrix)
        np.testing.assert_allclose(back, crop.to_image(answer), rtol=1e-9, atol=1e-6)
    assert [way.size for way in ways[1:]] == [SIZE] * len(many[1:])


def test_the_scale_is_told():
    """Half the size, whatever the turn."""
    crop = Crop.around(Box(0, 0, 128, 192), SIZE, padding=0, turn_deg=33)

    assert crop.px_per_image_px == pytest.approx(0.5)


# Crops: pixels


def test_a_box_of_the_crops_size_is_copied_to_the_byte():
    """At scale 1 and whole pixels nothing is interpolated, and no half pixel creeps in."""
    noise = np.random.default_rng(0).integers(0, 256, (150, 120, 3), np.uint8)

    cut = Crop.around(Box(20, 30, 64, 96), SIZE, padding=0).cut(Image.fromarray(noise))

    np.testing.assert_array_equal(cut, noise[30:126, 20:84])


@pytest.mark.parametrize(("x", "y"), [(0, 0), (119, 149), (119, 0), (37, 101)])
def test_a_white_pixel_is_found_where_its_point_lies(x: int, y: int):
    """Pixels and points take one way, at the image's corners too."""
    canvas = np.zeros((150, 120, 3), np.uint8)
    canvas[y, x] = 255
    crop = Crop.around(Box(x - 20, y - 30, 41, 61), SIZE, padding=0)

    cut = crop.cut(Image.fromarray(canvas)).astype(float)[..., 0]

    row, column = ndimage.center_of_mass(cut)
    np.testing.assert_allclose([column, row], crop.from_image([x, y]), atol=0.1)


@given(
    x=numbers(200, 400),
    y=numbers(200, 300),
    side=numbers(30, 500),
    how=st.fixed_dictionaries(ways),
)
def test_a_dot_is_found_where_its_point_lies_however_it_was_cut(
    x: float, y: float, side: float, how: dict[str, float]
):
    """Enlarged, or shrunk eight times by averaged blocks, turned and mirrored."""
    box = Box(x - 0.4 * side, y - 0.6 * side, side, side)
    crop = Crop.around(box, SIZE, **how)
    reach = 2 / min(1, crop.px_per_image_px)  # wide enough to cover crop pixels
    rows, columns = np.mgrid[:500, :600]
    dot = np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / reach**2)

    cut = crop.cut(picture(255 * dot)).astype(float)[..., 0]

    x_crop, y_crop = crop.from_image([x, y])
    at = np.clip(np.round([y_crop, x_crop]).astype(int), 0, [95, 63])
    far = 4 * reach * crop.px_per_image_px
    if min(x_crop, y_crop, 63 - x_crop, 95 - y_crop) < far:
        return  # cut off: its centre of mass is not its centre
    row, column = ndimage.center_of_mass(cut)
    np.testing.assert_allclose([column, row], [x_crop, y_crop], atol=0.15)
    assert cut[tuple(at)] > 150


@given(box=st.builds(Box, numbers(50, 250), numbers(50, 250), numbers(20, 300), numbers(20, 300)),
       how=st.fixed_dictionaries(ways))  # fmt: skip
def test_every_pixel_shows_the_image_at_its_own_place(box: Box, how: dict[str, float]):
    """On a picture whose grey is linear in place, interpolation and averaging are exact."""
    crop = Crop.around(box, SIZE, **how)
    height, width = 500, 600

    cut = crop.cut(picture(ramp(height, width, 0.2, 0.2))).astype(float)[..., 0]

    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    x, y = np.moveaxis(crop.to_image(np.stack([columns, rows], -1)), -1, 0)
    margin = 1 + 1 / crop.px_per_image_px  # blocks at the border are not whole
    inside = (x > margin) & (y > margin) & (x < width - 1 - margin) & (y < height - 1 - margin)
    np.testing.assert_allclose(cut[inside], (20 + 0.2 * x + 0.2 * y)[inside], atol=1.6)


def test_an_enlarged_crop_is_what_scipy_makes_of_it():
    """An independent affine with bilinear interpolation, turned and off the image's edge."""
    noise = np.random.default_rng(1).integers(0, 256, (80, 90)).astype(float)
    smooth = ndimage.gaussian_filter(noise, 1.5)
    crop = Crop.around(Box(-5, 10, 40, 60), SIZE, padding=0.1, turn_deg=25)

    cut = crop.cut(picture(smooth)).astype(float)[..., 0]

    inverse = np.linalg.inv(np.vstack([crop.matrix, [0, 0, 1]]))[:2]  # crop (x, y) → image (x, y)
    matrix, offset = inverse[::-1, 1::-1], inverse[::-1, 2]  # (row, column), as SciPy counts
    expected = ndimage.affine_transform(
        np.round(smooth), matrix, offset, output_shape=SIZE, order=1
    )
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    x, y = np.moveaxis(crop.to_image(np.stack([columns, rows], -1)), -1, 0)
    inside = (x >= 0) & (y >= 0) & (x <= 89) & (y <= 79)
    outside = (x < -1) | (y < -1)
    np.testing.assert_allclose(cut[inside], expected[inside], atol=1.1)
    assert (cut[outside] == 0).all()
    assert outside.any()


def test_what_lies_off_the_image_is_black():
    """Not the border repeated, which looks like a longer limb."""
    white = Image.new("RGB", (50, 50), "white")

    cut = Crop.around(Box(-50, 0, 100, 50), (64, 128), padding=0).cut(white)

    assert (cut[:, :62] == 0).all()
    assert (cut[2:-2, 66:126] == 255).all()


def test_fine_stripes_shrink_to_grey():
    """Without averaged blocks one pixel in eight would be taken, and stripes turn into bands."""
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255

    cut = Crop.around(Box(0, 0, 512, 512), (64, 64), padding=0).cut(Image.fromarray(stripes))

    assert abs(cut.astype(float) - 127.5).max() < 2


def test_a_box_far_larger_than_its_image_can_be_cut():
    """A box of a million pixels is a posted value, not a reason to fail."""
    image = Image.new("RGB", (40, 30), "white")

    cut = Crop.around(Box(-5e5, -5e5, 1e6, 1e6), SIZE, padding=0).cut(image)

    assert cut.shape == (*SIZE, 3)


def test_a_box_of_a_fraction_of_a_pixel_can_be_cut():
    """It shows one colour."""
    image = Image.new("RGB", (40, 30), (10, 200, 30))

    cut = Crop.around(Box(10, 10, 0.01, 0.01), SIZE, padding=0).cut(image)

    assert (cut == (10, 200, 30)).all()


@given(box=boxes, how=st.fixed_dictionaries({**ways, "flip": st.just(False)}))
def test_a_flipped_crop_shows_the_mirror_image(box: Box, how: dict[str, float]):
    """Up to the rounding of one grey value."""
    y, x = np.mgrid[:300, :400]
    image = picture(120 + 60 * np.sin(x / 17) + 60 * np.cos(y / 13))

    plain = Crop.around(box, SIZE, **how).cut(image).astype(int)
    flipped = Crop.around(box, SIZE, **(how | {"flip": True})).cut(image).astype(int)

    different = abs(flipped[:, ::-1] - plain) > 1
    assert different.mean() < 0.02  # the image's edge, where one side is black
