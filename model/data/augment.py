"""Batched augmentation on the training device: one affine and one colour change a person.

Frames: `_pack` is the wider cut that `model.data.packing` made, `_crop` the network's input.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from model.config import AugmentConfig
from model.skeletons import Skeleton


@dataclass(frozen=True)
class Draws:
    """Random numbers for everybody of a batch, of which the people in `rows` are here.

    What a person gets does not depend on who else is computed on the same device.
    """

    generator: torch.Generator
    people: int
    rows: slice

    def uniform(self, *shape: int) -> Tensor:
        """`[N, *shape]` within −1 … 1, for the N people that are here."""
        return self._rand(*shape) * 2 - 1

    def chance(self, share: float) -> Tensor:
        """`[N]` bool, true for such a share of the people."""
        return self._rand() < share

    def _rand(self, *shape: int) -> Tensor:
        generator = self.generator
        drawn = torch.rand(self.people, *shape, generator=generator, device=generator.device)
        return drawn[self.rows]


class Augment:
    """Turns, zooms, shifts, mirrors, halves and tints; every choice is drawn by `Draws`."""

    def __init__(
        self, config: AugmentConfig, skeleton: Skeleton, crop_px: tuple[int, int], padding: float
    ) -> None:
        self.config, self.crop_px, self.padding = config, crop_px, padding
        self.flip_order = torch.from_numpy(skeleton.flip_order)
        legs = ("hip", "knee", "ankle")
        self.lower = torch.tensor([name.endswith(legs) for name in skeleton.joints])

    def __call__(self, pixels: Tensor, joints_pack: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """One batch, or this device's share of it.

        pixels: uint8 `[N, Hp, Wp, 3]`; joints_pack: `[N, K, 3]` as in `Pack`.
        Returns the crops, float32 `[N, 3, H, W]` of 0…255, and joints_crop `[N, K, 3]`, whose
        third value is 0 as well where the joint fell outside the crop.
        """
        H, W = self.crop_px
        # Bytes are put in order before they are widened: a quarter of the memory to go through.
        image = pixels.permute(0, 3, 1, 2).contiguous().float()
        to_pack, centre_pack, flip = self._place(image.shape[-2:], joints_pack, draws)
        image = _sample(image, to_pack, centre_pack, (H, W))
        image = self._tint(image, draws)

        centre_crop = torch.tensor([(W - 1) / 2, (H - 1) / 2], device=image.device)
        offset = joints_pack[..., :2] - centre_pack[:, None]
        points = torch.einsum("nij,nkj->nki", torch.linalg.inv(to_pack), offset) + centre_crop
        order = self.flip_order.to(points.device)
        labelled = joints_pack[..., 2]
        points = torch.where(flip[:, None, None], points[:, order], points)
        labelled = torch.where(flip[:, None], labelled[:, order], labelled)
        limit = torch.tensor([W - 0.5, H - 0.5], device=image.device)
        inside = ((points > -0.5) & (points < limit)).all(-1)
        return image, torch.cat([points, (labelled * inside)[..., None]], -1)

    def _place(
        self, pack_size: torch.Size, joints_pack: Tensor, draws: Draws
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The matrices `[N, 2, 2]` crop → pack, the pack points `[N, 2]` that the crops centre on,
        and who is mirrored `[N]`."""
        ours = self.config
        N, device = len(joints_pack), joints_pack.device

        turn = draws.uniform() * math.radians(ours.rotation_deg) * draws.chance(ours.rotation_share)
        zoom = 1 + draws.uniform() * ours.scale
        flip = draws.chance(ours.flip)
        Hp, Wp = pack_size
        centre = torch.tensor([(Wp - 1) / 2, (Hp - 1) / 2], device=device).expand(N, 2)
        if ours.half_body:
            centre, zoom = self._halved(joints_pack, centre, zoom, draws)
        side = torch.tensor([self.crop_px[1], self.crop_px[0]], device=device)
        shift = torch.stack([draws.uniform(), draws.uniform()], -1) * ours.shift
        centre = centre + shift * side / zoom[:, None]

        c, s = torch.cos(turn) / zoom, torch.sin(turn) / zoom
        mirror = 1 - 2 * flip.float()
        matrix = torch.stack(
            [torch.stack([c * mirror, s], -1), torch.stack([-s * mirror, c], -1)], 1
        )
        return matrix, centre, flip

    def _halved(
        self, joints_pack: Tensor, centre: Tensor, zoom: Tensor, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """Some people are cut to their legs, or to all but them, where four joints or more are."""
        labelled = joints_pack[..., 2] > 0
        lower = self.lower.to(labelled.device)
        part = torch.where(draws.chance(0.5)[:, None], labelled & lower, labelled & ~lower)
        taken = draws.chance(self.config.half_body) & (part.sum(-1) >= 4)
        points = joints_pack[..., :2]
        low = points.masked_fill(~part[..., None], math.inf).amin(1)
        high = points.masked_fill(~part[..., None], -math.inf).amax(1)
        extent = (high - low).amax(-1) * (1 + 2 * self.padding)
        grown = (min(self.crop_px) / extent.clamp(min=1)).clamp(0.5, 2.5)
        return (
            torch.where(taken[:, None], (low + high) / 2, centre),
            torch.where(taken, zoom * grown, zoom),
        )

    def _tint(self, image: Tensor, draws: Draws) -> Tensor:
        """Saturation, contrast, brightness and a cast of colour, in one pass over the pixels."""
        strength = self.config.colour
        if not strength:
            return image

        def around_one(*shape: int) -> Tensor:
            return 1 + strength * draws.uniform(*shape)

        saturation, contrast = around_one(1, 1, 1), around_one(1, 1, 1)
        gain = around_one(1, 1, 1) * around_one(3, 1, 1)
        grey = image.mean(1, keepdim=True)
        level = grey.mean((2, 3), keepdim=True)
        # Saturation mixes a pixel with its grey, contrast the outcome with the mean grey, `level`.
        mixed = torch.addcmul(
            gain * (1 - contrast) * level, image, gain * contrast * saturation
        ).addcmul_(grey, gain * contrast * (1 - saturation))
        return mixed.clamp_(0, 255)


def _sample(image: Tensor, to_pack: Tensor, centre_pack: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear samples of `[N, 3, Hp, Wp]` at the crop's pixel centres, black outside."""
    H, W = size
    Hp, Wp = image.shape[-2:]
    device = image.device
    y, x = torch.meshgrid(
        torch.arange(H, device=device) - (H - 1) / 2,
        torch.arange(W, device=device) - (W - 1) / 2,
        indexing="ij",
    )
    at = (
        torch.einsum("nij,hwj->nhwi", to_pack, torch.stack([x, y], -1)) + centre_pack[:, None, None]
    )
    # align_corners: −1 and 1 are the centres of the first and the last pixel.
    grid = at * at.new_tensor([2 / (Wp - 1), 2 / (Hp - 1)]) - 1
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
