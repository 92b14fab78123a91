"""Targets and decoders: they are each other's inverse."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from model.geometry import Box, Crop, crop_to_map, map_to_crop
from model.heatmaps import REACH, Decoder, Term, decode, density, render

SIZE = (24, 16)  # (h, w)
DECODERS = ("quarter", "dark", "expectation")


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


places = st.tuples(numbers(-0.49, SIZE[1] - 0.51), numbers(-0.49, SIZE[0] - 0.51))
sigmas = st.sampled_from([1.0, 1.5, 2.0, 3.0])
terms = st.sampled_from(["mse", "ce"])


def perfect(points_map: torch.Tensor, term: Term, sigma_cells: float) -> torch.Tensor:
    """What a network that has learnt its target to perfection would say, as densities."""
    maps = render(points_map, SIZE, sigma_cells)
    return maps if term == "mse" else maps / maps.sum((-2, -1), keepdim=True)


def found(place: tuple[float, float], decoder: Decoder, term: Term, sigma_cells: float):
    points = torch.tensor(place)[None, None]
    return decode(perfect(points, term, sigma_cells), decoder, term, sigma_cells)[0, 0]


# Targets


def test_a_target_is_a_gaussian_of_height_one_at_its_joint():
    """exp(−d²/2σ²), fractions of a cell kept, by hand at three cells."""
    maps = render(torch.tensor([[[3.0, 5.0], [3.25, 5.5]]]), SIZE, sigma_cells=2.0)

    assert maps.shape == (1, 2, *SIZE)
    assert maps.dtype == torch.float32
    assert maps[0, 0, 5, 3] == 1.0
    assert maps[0, 0, 5, 5].item() == pytest.approx(math.exp(-0.5))
    assert maps[0, 1, 5, 3].item() == pytest.approx(math.exp(-(0.25**2 + 0.5**2) / 8))


def test_people_and_joints_do_not_mix():
    """One batched expression is right for each of them alone."""
    points = torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(0)) * 15

    together = render(points, SIZE, 2.0)

    for n in range(3):
        for k in range(5):
            alone = render(points[n : n + 1, k : k + 1], SIZE, 2.0)
            torch.testing.assert_close(together[n, k], alone[0, 0], rtol=0, atol=0)


# There and back


@given(place=places, term=terms, sigma_cells=sigmas)
def test_dark_finds_every_target_again_within_a_hundredth_of_a_cell(
    place: tuple[float, float], term: Term, sigma_cells: float
):
    """Everywhere in the map: at its edges and corners there is less to smooth with."""
    x, y, _ = found(place, "dark", term, sigma_cells).tolist()

    assert math.hypot(x - place[0], y - place[1]) < 0.01


@given(place=places, term=terms, sigma_cells=sigmas)
def test_a_quarter_shift_is_off_by_a_quarter_at_most(
    place: tuple[float, float], term: Term, sigma_cells: float
):
    """Its quantisation; half a cell in the outermost cells, which are not shifted."""
    x, y, _ = found(place, "quarter", term, sigma_cells).tolist()

    limit_x = 0.251 if 0.51 < place[0] < SIZE[1] - 1.51 else 0.501
    limit_y = 0.251 if 0.51 < place[1] < SIZE[0] - 1.51 else 0.501
    assert abs(x - place[0]) <= limit_x
    assert abs(y - place[1]) <= limit_y


@given(
    place=st.tuples(numbers(3, SIZE[1] - 4), numbers(3, SIZE[0] - 4)),
    sigma_cells=st.sampled_from([0.75, 1.0]),
)
def test_the_expectation_finds_a_narrow_distribution_within_a_tenth_of_a_cell(
    place: tuple[float, float], sigma_cells: float
):
    """Where ±REACH cells hold nearly all of it."""
    x, y, _ = found(place, "expectation", "ce", sigma_cells).tolist()

    assert math.hypot(x - place[0], y - place[1]) < 0.1


@given(place=places, decoder=st.sampled_from(DECODERS), term=terms, sigma_cells=sigmas)
def test_a_mirrored_map_has_the_mirrored_joint(
    place: tuple[float, float], decoder: Decoder, term: Term, sigma_cells: float
):
    """Without this no flip test and no flipped training picture is right."""
    assume(all(abs(p % 1 - 0.5) > 1e-3 for p in place))  # of two equal peaks either is right
    ours = found(place, decoder, term, sigma_cells)
    mirrored = found((SIZE[1] - 1 - place[0], place[1]), decoder, term, sigma_cells)

    torch.testing.assert_close(mirrored[0], SIZE[1] - 1 - ours[0], atol=2e-3, rtol=0)
    torch.testing.assert_close(mirrored[1:], ours[1:], atol=2e-3, rtol=0)


@given(x=numbers(0, 299), y=numbers(0, 199), turn_deg=numbers(-45, 45), zoom=numbers(0.8, 1.2))
def test_a_mirrored_photograph_gives_the_mirrored_joint(
    x: float, y: float, turn_deg: float, zoom: float
):
    """Image → crop → map → target → decoder → map → crop → image, and all of it mirrored."""
    width, box = 300, Box(40, 20, 90, 150)
    mirrored_box = Box(width - box.x - box.width, box.y, box.width, box.height)

    def through(point_img: list[float], box: Box, turn_deg: float) -> np.ndarray:
        crop = Crop.around(
            box, (4 * SIZE[0], 4 * SIZE[1]), padding=1.0, turn_deg=turn_deg, zoom=zoom
        )
        point_map = torch.from_numpy(crop_to_map(crop.from_image(point_img)))
        decoded = decode(render(point_map[None, None].float(), SIZE, 2.0), "dark", "mse", 2.0)
        return crop.to_image(map_to_crop(decoded[0, 0, :2].numpy()))

    ours = through([x, y], box, turn_deg)
    theirs = through([width - 1 - x, y], mirrored_box, -turn_deg)

    np.testing.assert_allclose(theirs, [width - 1 - ours[0], ours[1]], atol=0.05)


# Scores and maps that are no targets


def test_the_score_is_the_peaks_height():
    """With `mse` a map's own unit; half as sure, half as high."""
    points = torch.tensor([[[5.0, 7.0], [9.0, 3.0]]])
    maps = render(points, SIZE, 2.0) * torch.tensor([1.0, 0.5])[:, None, None]

    scores = decode(maps, "dark", "mse", 2.0)[0, :, 2]

    assert scores.tolist() == [1.0, 0.5]


def test_the_score_is_the_probability_near_the_joint():
    """With `ce` the mass within ±REACH cells: two equal peaks halve it."""
    points = torch.tensor([[[4.0, 4.0], [11.0, 18.0]]])
    two = perfect(points, "ce", 0.75).mean(1, keepdim=True)

    score = decode(two, "expectation", "ce", 0.75)[0, 0, 2].item()

    inside = math.erf((REACH + 0.5) / 0.75 / math.sqrt(2)) ** 2
    assert score == pytest.approx(0.5 * inside, abs=1e-3)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("term", ["mse", "ce"])
def test_any_map_gives_numbers_within_the_map(decoder: Decoder, term: Term):
    """Flat, empty, negative or noise: an untrained student answers too, and a NaN is no JSON."""
    noise = torch.randn(1, 4, *SIZE, generator=torch.Generator().manual_seed(1))
    maps = torch.cat([noise, 1e4 * noise, torch.zeros_like(noise), -noise.abs()])

    points = decode(density(maps, term), decoder, term, 2.0)

    assert points.isfinite().all()
    limits = torch.tensor([SIZE[1], SIZE[0]])
    assert ((points[..., :2] >= -1) & (points[..., :2] <= limits)).all()
    assert ((points[..., 2] >= 0) & (points[..., 2] <= 1)).all()


def test_a_density_is_a_distribution_or_a_height():
    """Decoders and flip tests average densities, which must not be negative."""
    maps = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(2))

    torch.testing.assert_close(density(maps, "ce").sum((-2, -1)), torch.ones(2, 3))
    torch.testing.assert_close(density(maps, "mse"), maps.clamp(min=0))
