"""From joints to heatmaps and back: target and decoder in one place, so that they cannot drift.

Letters: N people, K joints, h w heatmap cells. A *density* is a map that is not negative and peaks
at the joint, whatever the network's own units (`density`). Traceable: export uses `decode` as is.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Term = Literal["mse", "ce"]
Decoder = Literal["quarter", "dark", "expectation"]

REACH = 3
"""Half side, in cells, of the window that `score` and the local expectation look at."""


def render(points_map: Tensor, size: tuple[int, int], sigma_cells: float) -> Tensor:
    """Gaussians of height 1.

    points_map: `[N, K, 2]` x, y in cells, fractions kept. Returns float32 `[N, K, h, w]`.
    """
    h, w = size
    device = points_map.device
    x = torch.arange(w, device=device, dtype=torch.float32) - points_map[..., 0, None]  # N K w
    y = torch.arange(h, device=device, dtype=torch.float32) - points_map[..., 1, None]  # N K h
    scale = -0.5 / sigma_cells**2
    return torch.exp(scale * y.square())[..., :, None] * torch.exp(scale * x.square())[..., None, :]


def density(maps: Tensor, term: Term) -> Tensor:
    """The network's maps `[…, h, w]` as densities: heights from 0 up, or a softmax over cells."""
    maps = maps.float()
    if term == "mse":
        return maps.clamp(min=0)
    return maps.flatten(-2).softmax(-1).view(maps.shape)


def decode(densities: Tensor, decoder: Decoder, term: Term, sigma_cells: float) -> Tensor:
    """The joint of every density.

    densities: `[N, K, h, w]`. Returns `[N, K, 3]`: x, y in cells and the score: the peak's height
    (`mse`), or the probability within ±`REACH` cells of it (`ce`).

    `quarter`: a quarter cell towards the higher neighbour (Newell 2016). `dark`: one Newton step on
    the logarithm of the smoothed density (Zhang 2020, arXiv:1910.06278, eq. 8). `expectation`: the
    mean position within ±`REACH` cells.
    """
    w = densities.shape[-1]
    peak, cell = densities.flatten(2).max(-1)  # N K
    x, y = cell % w, cell // w
    shift = {"quarter": _quarter, "dark": _dark, "expectation": _expectation}[decoder]
    dx, dy = shift(densities, x, y, sigma_cells)
    score = peak if term == "mse" else _at(_window_sum(densities), cell)
    return torch.stack([x + dx, y + dy, score.clamp(0, 1)], -1)


def _at(maps: Tensor, cell: Tensor) -> Tensor:
    """`[N, K, h, w]` at flat cells `[N, K]`."""
    return maps.flatten(2).gather(2, cell[..., None])[..., 0]


def _around(maps: Tensor, x: Tensor, y: Tensor) -> dict[tuple[int, int], Tensor]:
    """Values at the nine cells about (x, y), each `[N, K]`; beyond the edge that of the edge."""
    h, w = maps.shape[-2:]
    return {
        (i, j): _at(maps, (y + j).clamp(0, h - 1) * w + (x + i).clamp(0, w - 1))
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
    }


def _quarter(maps: Tensor, x: Tensor, y: Tensor, sigma_cells: float) -> tuple[Tensor, Tensor]:
    h, w = maps.shape[-2:]
    near = _around(maps, x, y)
    dx = 0.25 * torch.sign(near[1, 0] - near[-1, 0])
    dy = 0.25 * torch.sign(near[0, 1] - near[0, -1])
    # At the edge one neighbour is missing: no shift, as published.
    return dx * ((x > 0) & (x < w - 1)), dy * ((y > 0) & (y < h - 1))


def _dark(maps: Tensor, x: Tensor, y: Tensor, sigma_cells: float) -> tuple[Tensor, Tensor]:
    h, w = maps.shape[-2:]
    # A Newton step on a Gaussian's logarithm lands on the peak from any cell, so a peak at the
    # edge is looked at from the cell beside it, which has neighbours on both sides.
    cx, cy = x.clamp(1, w - 2), y.clamp(1, h - 2)
    reach = math.ceil(2 * sigma_cells)
    # Beyond the edge there is nothing to smooth with: there the map is taken as it is.
    inner = (cx > reach) & (cx < w - 1 - reach) & (cy > reach) & (cy < h - 1 - reach)
    smooth = _around(_smoothed(maps, sigma_cells, reach), cx, cy)
    raw = _around(maps, cx, cy)
    near = {at: torch.where(inner, smooth[at], raw[at]).clamp(min=1e-12).log() for at in raw}
    gx = 0.5 * (near[1, 0] - near[-1, 0])
    gy = 0.5 * (near[0, 1] - near[0, -1])
    hxx = near[1, 0] - 2 * near[0, 0] + near[-1, 0]
    hyy = near[0, 1] - 2 * near[0, 0] + near[0, -1]
    hxy = 0.25 * (near[1, 1] - near[1, -1] - near[-1, 1] + near[-1, -1])
    determinant = hxx * hyy - hxy * hxy
    # Where the map is no hill there (noise), the cell itself is the answer.
    hill = (determinant > 1e-9) & (hxx < 0) & (hyy < 0)
    safe = torch.where(hill, determinant, 1.0)
    dx = torch.where(hill, cx - x - (hyy * gx - hxy * gy) / safe, 0.0)
    dy = torch.where(hill, cy - y - (hxx * gy - hxy * gx) / safe, 0.0)
    return dx.clamp(-1, 1), dy.clamp(-1, 1)


def _smoothed(maps: Tensor, sigma_cells: float, reach: int) -> Tensor:
    """Each map under a Gaussian as wide as the target's, which irons out a network's ripples."""
    offset = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (offset / sigma_cells).square())
    kernel = kernel / kernel.sum()
    N, K, h, w = maps.shape
    flat = maps.reshape(N * K, 1, h, w)
    flat = F.conv2d(flat, kernel[None, None, :, None], padding=(reach, 0))
    return F.conv2d(flat, kernel[None, None, None, :], padding=(0, reach)).reshape(maps.shape)


def _expectation(maps: Tensor, x: Tensor, y: Tensor, sigma_cells: float) -> tuple[Tensor, Tensor]:
    h, w = maps.shape[-2:]
    cell = y * w + x
    xs = torch.arange(w, device=maps.device, dtype=maps.dtype)
    ys = torch.arange(h, device=maps.device, dtype=maps.dtype)[:, None]
    mass = _at(_window_sum(maps), cell).clamp(min=1e-12)
    return (
        _at(_window_sum(maps * xs), cell) / mass - x,
        _at(_window_sum(maps * ys), cell) / mass - y,
    )


def _window_sum(maps: Tensor) -> Tensor:
    """Sum over the ±`REACH` cells about every cell."""
    side = 2 * REACH + 1
    return F.avg_pool2d(maps, side, stride=1, padding=REACH) * side**2
