"""What every branch and the ensemble say of a set of crops, in PyTorch."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.config import Config
from model.geometry import map_to_crop
from model.heatmaps import decode, density
from model.network import BranchMaps
from model.skeletons import Skeleton
from model.training.state.learner import ENSEMBLE, Learner


@torch.no_grad()
def keypoints(
    learner: Learner,
    crops: NDArray[np.uint8],
    config: Config,
    skeleton: Skeleton,
    *,
    flip_test: bool,
    batch: int = 64,
) -> dict[str, NDArray[np.float32]]:
    """Keypoints by branch name, and by `ensemble`.

    crops: uint8 RGB `[P, H, W, 3]`. Values `[P, K, 3]`: x, y in crop pixels and score. With
    `flip_test` the densities of the crop and of its mirror are averaged.
    """
    learner.eval()
    device = next(learner.parameters()).device
    order = torch.from_numpy(skeleton.flip_order).to(device)
    names = (*learner.network.names, ENSEMBLE)
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    for start in range(0, len(crops), batch):
        image = torch.from_numpy(np.ascontiguousarray(crops[start : start + batch]))
        image = image.to(device).permute(0, 3, 1, 2)
        maps = densities(learner, image, config)
        if flip_test:
            mirrored = densities(learner, image.flip(-1), config)
            maps = (maps + mirrored[:, :, order].flip(-1)) / 2
        for name, dens in zip(names, maps, strict=True):
            points = decode(
                dens, config.evaluation.decoder, config.target.term, config.target.sigma_cells
            )
            points[..., :2] = map_to_crop(points[..., :2])
            found[name].append(points.cpu())
    return {name: torch.cat(parts).numpy() for name, parts in found.items()}


def densities(learner: Learner, image: Tensor, config: Config) -> Tensor:
    """Of crops `[N, 3, H, W]` of 0…255 every branch's last map, and the ensemble's behind them.

    Returns `[B + 1, N, K, h, w]`, densities as `model.heatmaps.density` has them.
    """
    maps: BranchMaps = learner.network(image)
    every = torch.cat([maps.last, learner.scheme.ensemble(maps)[None]])
    return density(every, config.target.term)
