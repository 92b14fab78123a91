"""Augmentation: joints move with their pixels, and every choice comes from the generator."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.config import AugmentConfig
from model.data.augment import Augment, Draws
from model.data.packing import MARGIN, exact_crops, pack
from model.data.synthetic import draw_people
from model.skeletons import MPII16

CROP = (64, 48)  # (H, W)
PACK = (round(CROP[0] * MARGIN), round(CROP[1] * MARGIN))
K = len(MPII16)
N = 12
STILL = {
    "rotation_deg": 0,
    "scale": 0,
    "shift": 0,
    "flip": 0,
    "colour": 0,
    "half_body": 0,
}


def augment(seed: int = 0, **changes: float):
    """`(pixels, joints_pack)` → crops and joints_crop under a configuration."""
    machine = Augment(AugmentConfig(**(STILL | changes)), MPII16, CROP, padding=0.1)

    def run(pixels: Tensor, joints_pack: Tensor) -> tuple[Tensor, Tensor]:
        draws = Draws(torch.Generator().manual_seed(seed), len(pixels), slice(None))
        return machine(pixels, joints_pack, draws)

    return run


def dotted(seed: int = 0, count: int = N) -> tuple[Tensor, Tensor, Tensor]:
    """People with a soft white dot on one labelled joint each, and which joint that is."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, K, count)
    # Away from the pack's border, so that the dot is whole wherever the crop shows it.
    places = rng.uniform(0.25, 0.75, (count, 2)) * [PACK[1], PACK[0]]
    rows, columns = np.mgrid[: PACK[0], : PACK[1]]
    squares = (columns - places[:, :1, None]) ** 2 + (rows - places[:, 1:, None]) ** 2
    grey = 255 * np.exp(-0.5 * squares / 2**2)
    joints = np.zeros((count, K, 3), np.float32)
    joints[np.arange(count), which] = np.c_[places, np.ones(count)]
    pixels = np.repeat(grey[..., None].round(), 3, -1).astype(np.uint8)
    return torch.from_numpy(pixels), torch.from_numpy(joints), torch.from_numpy(which)


def bodies(count: int = N) -> tuple[Tensor, Tensor]:
    """People of noise with all joints labelled, near the middle."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (count, *PACK, 3), np.uint8)
    places = rng.uniform(0.3, 0.7, (count, K, 2)) * [PACK[1], PACK[0]]
    joints = np.concatenate([places, np.ones((count, K, 1))], -1)
    return torch.from_numpy(pixels), torch.from_numpy(joints.astype(np.float32))


def dots_of(images: Tensor) -> np.ndarray:
    """`[N, 2]` x, y of the centre of brightness."""
    grey = images.mean(1).numpy()
    rows, columns = np.mgrid[: CROP[0], : CROP[1]]
    total = np.maximum(grey.sum((1, 2)), 1)
    return np.stack([(grey * columns).sum((1, 2)), (grey * rows).sum((1, 2))], -1) / total[:, None]


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    how=st.fixed_dictionaries(
        {
            "rotation_deg": st.floats(0, 180),
            "scale": st.floats(0, 0.4),
            "shift": st.floats(0, 0.2),
            "flip": st.sampled_from([0, 0.5, 1]),
        }
    ),
)
def test_a_dot_painted_on_a_joint_is_found_on_it(seed: int, how: dict[str, float]):
    """Pixels and joints take one way: a sign that differs spoils every label."""
    pixels, joints_pack, which = dotted(seed)

    images, joints_crop = augment(seed, **how)(pixels, joints_pack)

    order = torch.from_numpy(MPII16.flip_order)
    for n, (found, k) in enumerate(zip(dots_of(images), which, strict=True)):
        sides = {int(k), int(order[k])}  # a mirrored left wrist is a right one
        labelled = joints_crop[n, :, 2].nonzero().flatten().tolist()
        if not labelled:
            continue  # the crop shows another part
        assert set(labelled) <= sides
        place = joints_crop[n, labelled[0], :2].numpy()
        if (place > 9).all() and (place < [CROP[1] - 10, CROP[0] - 10]).all():
            np.testing.assert_allclose(found, place, atol=0.1)


@pytest.mark.parametrize("flip", [0, 1])
def test_a_mirror_exchanges_left_and_right(flip: int):
    """The joint that lay at k lies at its other side's place, mirrored."""
    pixels, joints_pack = bodies()

    _, plain = augment()(pixels, joints_pack)
    _, joints_crop = augment(flip=flip)(pixels, joints_pack)

    expected = plain.clone()
    if flip:
        expected = expected[:, MPII16.flip_order]
        expected[..., 0] = CROP[1] - 1 - expected[..., 0]
    torch.testing.assert_close(joints_crop, expected, atol=1e-3, rtol=0)


def test_a_mirror_takes_missing_labels_along():
    """The right wrist has no label: in the mirror it is the left one that has none."""
    pixels, joints_pack = bodies()
    joints_pack[:, MPII16.index("right_wrist"), 2] = 0

    _, joints_crop = augment(flip=1)(pixels, joints_pack)

    missing = (joints_crop[..., 2] == 0).all(0).nonzero().flatten().tolist()
    assert missing == [MPII16.index("left_wrist")]


def test_a_mirrored_crop_is_the_mirror_image():
    """To the grey value: the flip comes last and about the crop's own middle."""
    pixels, joints_pack = bodies()

    plain, _ = augment()(pixels, joints_pack)
    mirrored, _ = augment(flip=1)(pixels, joints_pack)

    torch.testing.assert_close(mirrored.flip(-1), plain, atol=0.05, rtol=0)


def test_left_alone_training_sees_what_serving_sees():
    """One geometry: the packed, not augmented crop is the exact crop, pixels and joints."""
    people = draw_people(4, seed=3, size_px=80)  # too small to be averaged in blocks
    packed = pack(people, CROP, 0.1, fingerprint="")

    images, joints_crop = augment()(
        torch.from_numpy(packed.pixels), torch.from_numpy(packed.joints)
    )

    exact, ways = exact_crops(people, CROP, 0.1)
    ours = images.permute(0, 2, 3, 1).numpy()
    assert abs(ours - exact.astype(np.float32)).max() <= 1
    for n, (person, way) in enumerate(zip(people, ways, strict=True)):
        points = way.from_image(person.joints_img[:, :2])
        seen = joints_crop[n, :, 2] > 0
        np.testing.assert_allclose(joints_crop[n, seen, :2], points[seen], atol=1e-3)


def test_one_generator_gives_one_batch():
    """An exact resume draws the same crops, whatever the global state is."""
    pixels, joints_pack = bodies()
    everything = {"rotation_deg": 40, "scale": 0.3, "shift": 0.1, "flip": 0.5, "colour": 0.4}
    everything["half_body"] = 0.5

    first = augment(7, **everything)(pixels, joints_pack)
    torch.rand(5)
    second = augment(7, **everything)(pixels, joints_pack)
    other = augment(8, **everything)(pixels, joints_pack)

    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("size", [2, 3])
def test_a_person_is_changed_alike_on_whichever_device_of_several(size: int):
    """Draws are of the whole batch: a run on more devices is the same training."""
    pixels, joints_pack = bodies()
    config = AugmentConfig(
        rotation_deg=40, rotation_share=0.6, scale=0.3, shift=0.1, half_body=0.5, colour=0.4
    )
    machine = Augment(config, MPII16, CROP, padding=0.1)

    def crops(rows: slice) -> tuple[Tensor, Tensor]:
        draws = Draws(torch.Generator().manual_seed(3), len(pixels), rows)
        return machine(pixels[rows], joints_pack[rows], draws)

    cuts = [i * len(pixels) // size for i in range(size + 1)]
    shares = [crops(slice(*ends)) for ends in pairwise(cuts)]

    for parts, whole in zip(zip(*shares, strict=True), crops(slice(None)), strict=True):
        torch.testing.assert_close(torch.cat(parts), whole)


def test_the_global_generator_is_left_alone():
    """Randomness is handed down, never taken from a state that others share."""
    before = torch.random.get_rng_state()

    augment(rotation_deg=40, flip=0.5, colour=0.5, half_body=0.5)(*bodies())

    assert torch.equal(torch.random.get_rng_state(), before)


def test_people_of_a_batch_are_changed_each_in_their_own_way():
    """One draw for the whole batch would be a far weaker augmentation."""
    pixels, joints_pack = (t[:1].expand(N, *t.shape[1:]) for t in bodies())

    images, joints_crop = augment(rotation_deg=40, colour=0.5)(pixels, joints_pack)

    assert len({tuple(row.flatten().tolist()) for row in joints_crop}) == N
    assert len({image.mean().item() for image in images}) == N


def test_a_joint_off_the_crop_loses_its_label():
    """Its map has no peak to learn; at the outermost pixel's outer edge it is still on."""
    pixels, _ = bodies(1)
    joints_pack = torch.zeros(1, K, 3)
    left, top = (PACK[1] - CROP[1]) / 2, (PACK[0] - CROP[0]) / 2
    x_crop = [-0.6, -0.4, CROP[1] - 0.6, CROP[1] - 0.4]
    joints_pack[0, :4] = torch.tensor([[x + left, top + 5, 1] for x in x_crop])

    _, joints_crop = augment()(pixels, joints_pack)

    assert joints_crop[0, :4, 2].tolist() == [0, 1, 1, 0]
    assert not joints_crop[0, 4:, 2].any()


def test_a_half_body_crop_shows_the_legs_or_all_but_them():
    """Enlarged about the chosen joints, with room for all of them."""
    pixels, joints_pack = bodies(40)
    lower = torch.tensor([j.endswith(("hip", "knee", "ankle")) for j in MPII16.joints])
    shrink = torch.tensor([0.2, 0.25])  # upper and lower bodies small and far apart
    centre = torch.tensor([PACK[1] / 2, PACK[0] / 2])
    apart = torch.where(lower[:, None], 1.0, -1.0) * torch.tensor([0.0, 12.0])
    joints_pack[..., :2] = centre + shrink * (joints_pack[..., :2] - centre) + apart

    _, whole = augment()(pixels, joints_pack)
    _, halves = augment(half_body=1)(pixels, joints_pack)

    for before, after in zip(whole, halves, strict=True):
        low, up = (after[part, :2].mean(0) for part in (lower, ~lower))
        middle = torch.tensor([(CROP[1] - 1) / 2, (CROP[0] - 1) / 2])
        shown = lower if (low - middle).norm() < (up - middle).norm() else ~lower
        assert (after[shown, 2] == 1).all()
        spread = after[shown, :2].std(0).sum() / before[shown, :2].std(0).sum()
        assert 1.2 < spread <= 2.51


def test_somebody_with_three_joints_is_not_halved():
    """Too few joints say nothing of where the half is."""
    pixels, joints_pack = bodies()
    joints_pack[:, 3:, 2] = 0

    _, plain = augment()(pixels, joints_pack)
    _, joints_crop = augment(half_body=1)(pixels, joints_pack)

    torch.testing.assert_close(joints_crop, plain)


def test_the_share_of_turned_crops_is_kept():
    """`rotation_share` 0 turns nobody, whatever `rotation_deg` says."""
    pixels, joints_pack = bodies()

    _, plain = augment()(pixels, joints_pack)
    _, nobody = augment(rotation_deg=90, rotation_share=0)(pixels, joints_pack)
    _, half = augment(rotation_deg=90, rotation_share=0.5)(pixels, joints_pack)

    torch.testing.assert_close(nobody, plain)
    still = (half - plain).abs().amax((1, 2)) < 1e-3
    assert 0 < still.sum() < N


def test_colours_change_and_stay_colours():
    """Joints stay where they are; values stay within 0…255, which the network expects."""
    pixels, joints_pack = bodies()

    plain, joints_plain = augment()(pixels, joints_pack)
    tinted, joints_crop = augment(colour=1)(pixels, joints_pack)

    assert torch.equal(joints_crop, joints_plain)
    assert tinted.min() >= 0
    assert tinted.max() <= 255
    assert not torch.allclose(tinted.mean((2, 3)), plain.mean((2, 3)))


def test_a_pixel_is_mixed_with_its_grey_and_the_mean_grey():
    """One pass does saturation, contrast and gains; a person's pixels tell which they were."""
    pixels, joints_pack = bodies()
    plain, _ = augment()(pixels // 4 + 96, joints_pack)  # far from 0 and 255
    tinted, _ = augment(colour=0.2)(pixels // 4 + 96, joints_pack)

    for before, after in zip(plain.double(), tinted.double(), strict=True):
        known = torch.cat([before.flatten(1).T, torch.ones(before[0].numel(), 1).double()], 1)
        fitted = torch.linalg.lstsq(known, after.flatten(1).T).solution
        np.testing.assert_allclose(known @ fitted, after.flatten(1).T, atol=1e-2)
        mixed, offset = fitted[:3].T.numpy(), fitted[3].numpy()
        gains = mixed.sum(1)  # of contrast and of the channel
        saturation = (3 * mixed.diagonal() / gains - 1) / 2
        contrast = before.mean().item() / (offset / gains + before.mean().item())
        # The same in every channel.
        assert np.ptp(saturation) < 1e-3
        assert np.ptp(contrast) < 1e-3
        expected = (saturation[0] * np.eye(3) + (1 - saturation[0]) / 3) * gains[:, None]
        np.testing.assert_allclose(mixed, expected, atol=1e-3)
        assert min(saturation[0], contrast[0]) >= 0.8
        assert max(saturation[0], contrast[0]) <= 1.2
