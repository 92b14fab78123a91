"""Who speaks for or against a label: every branch of a run, of a crop and of its mirror image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from model.config import Config, SourceConfig
from model.data.mixture import open_source
from model.data.packing import exact_crops
from model.data.person import Person
from model.errors import ConfigError, DatasetError, Fault
from model.geometry import STRIDE, Crops, crop_to_map, map_to_crop
from model.heatmaps import decode
from model.skeletons import Skeleton
from model.training.outcome.judge import densities
from model.training.state.checkpoints import load_judged
from model.training.state.learner import Learner

POWERS: Final = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Inverse temperatures: a map says how sure its branch is, but not in true probabilities."""

_AT_ONCE: Final = 64
"""People whose maps are in memory together."""
_LEAST: Final = 1e-9
"""Of a map's cell, before its logarithm."""


@dataclass(frozen=True)
class Testimony:
    """What W witnesses say of P people's K joints.

    points_img: float64 `[W, P, K, 3]`, x, y in image pixels and the score.
    at_label: float64 `[G, W, P, K]`, how likely, per square pixel of the image, a witness has the
        joint where its label is, with its map raised to each of `POWERS`.
    at_mirror: the same where the label of the joint's mirror image is (its own for those without).
    """

    points_img: NDArray[np.float64]
    at_label: NDArray[np.float64]
    at_mirror: NDArray[np.float64]

    @classmethod
    def of_more_people(cls, parts: Sequence[Self]) -> Self:
        """The same witnesses on one group of people after another."""
        return cls(
            np.concatenate([part.points_img for part in parts], 1),
            np.concatenate([part.at_label for part in parts], 2),
            np.concatenate([part.at_mirror for part in parts], 2),
        )

    @classmethod
    def of_more_witnesses(cls, parts: Sequence[Self]) -> Self:
        """Several runs' witnesses on the same people."""
        return cls(
            np.concatenate([part.points_img for part in parts], 0),
            np.concatenate([part.at_label for part in parts], 1),
            np.concatenate([part.at_mirror for part in parts], 1),
        )


@dataclass(frozen=True)
class Run:
    """A trained network as it is asked.

    learnt: file names of the photographs that it learnt from, None where they are not known.
    """

    config: Config
    skeleton: Skeleton
    learner: Learner
    device: torch.device
    learnt: frozenset[str] | None

    @classmethod
    def open(
        cls, checkpoint: Path, learnt_from: Sequence[SourceConfig], device: torch.device
    ) -> Self:
        """A run's best.pt, and the data that the run was trained on.

        Raises CheckpointUnusable; ConfigError where no branch has a peer.
        """
        config, skeleton, learner = load_judged(checkpoint, device)
        if len(learner.network.names) < 2:
            raise ConfigError(
                [Fault("run", "it has one branch, which nobody can agree with", "two or more")]
            )
        return cls(config, skeleton, learner, device, photographs_of(learnt_from))

    def has_learnt(self, people: Sequence[Person]) -> NDArray[np.bool_]:
        """`[P]` whether it may know each person's label.

        Photographs are known by their file's name: of two sets that call theirs alike one is taken
        for the other, so that nobody is judged by a run that knows him and is said not to.
        """
        if self.learnt is None:
            return np.ones(len(people), np.bool_)
        return np.array([person.photograph.name in self.learnt for person in people], np.bool_)

    @torch.no_grad()
    def hear(
        self, people: Sequence[Person], advance: Callable[[int], None] = lambda people: None
    ) -> Testimony:
        """What W = 2 × branches witnesses say of people whose labels are in the run's skeleton.

        advance: told after every few people how many they were.
        Raises DatasetError naming the photograph that cannot be read.
        """
        data = self.config.data
        parts = []
        for start in range(0, len(people), _AT_ONCE):
            some = people[start : start + _AT_ONCE]
            pixels, ways = exact_crops(some, data.crop_px, data.padding)
            labels = np.stack(
                [
                    way.from_image(person.joints_img[:, :2])
                    for person, way in zip(some, ways, strict=True)
                ]
            )
            parts.append(self._hear(pixels, ways, labels))
            advance(len(some))
        return Testimony.of_more_people(parts)

    def _hear(
        self, pixels: NDArray[np.uint8], ways: Crops, labels_crop: NDArray[np.float64]
    ) -> Testimony:
        """Of crops uint8 `[P, H, W, 3]`; labels_crop: `[P, K, 2]`."""
        order = self.skeleton.flip_order
        image = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
        ours = self._maps(image)
        mirrored = self._maps(image.flip(-1))[:, :, torch.from_numpy(order)].flip(-1)
        maps = torch.cat([ours, mirrored])  # W P K h w
        labels_map = torch.from_numpy(crop_to_map(labels_crop)).float().to(self.device)

        target, decoder = self.config.target, self.config.evaluation.decoder
        W, P, K = maps.shape[:3]
        points = decode(maps.flatten(0, 1), decoder, target.term, target.sigma_cells)
        points_img = points.view(W, P, K, 3).double().cpu().numpy()
        crop = map_to_crop(points_img[..., :2]).swapaxes(0, 1)
        points_img[..., :2] = ways.to_image(crop).swapaxes(0, 1)

        cells = np.array([(way.px_per_image_px / STRIDE) ** 2 for way in ways])  # a square pixel's
        log = maps.clamp(min=_LEAST).log().flatten(-2)
        found: tuple[list[NDArray[np.float64]], ...] = ([], [])
        for power in POWERS:
            p = (power * log).softmax(-1).view(maps.shape)
            for at, o in zip(found, (np.arange(K), order), strict=True):
                at.append(_at(p, labels_map[:, o]).double().cpu().numpy() * cells[:, None])
        return Testimony(points_img, np.stack(found[0]), np.stack(found[1]))

    def _maps(self, image: Tensor) -> Tensor:
        """Every branch's densities `[B, N, K, h, w]`: the ensemble is made of them."""
        return densities(self.learner, image, self.config)[:-1]


def photographs_of(sources: Sequence[SourceConfig]) -> frozenset[str] | None:
    """File names of the photographs of everybody; None where a set cannot be read any more."""
    try:
        return frozenset(
            person.photograph.name for source in sources for person in open_source(source).people
        )
    except DatasetError:
        return None


def _at(maps: Tensor, points_map: Tensor) -> Tensor:
    """Bilinear samples `[W, P, K]` of maps `[W, P, K, h, w]` at `[P, K, 2]`; 0 off the map."""
    W, P, K, h, w = maps.shape
    # align_corners: −1 and 1 are the centres of the first and the last cell
    grid = points_map * points_map.new_tensor([2 / (w - 1), 2 / (h - 1)]) - 1
    grid = grid.expand(W, P, K, 2).reshape(W * P * K, 1, 1, 2)
    found = F.grid_sample(maps.reshape(W * P * K, 1, h, w), grid, align_corners=True)
    return found.view(W, P, K)
