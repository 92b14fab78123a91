"""Witnesses whose answers are known: Gaussians about where the joints really are."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.audit.evidence import weigh_evidence
from model.audit.verdict import Verdict, judge
from model.audit.witnesses import POWERS, Testimony
from model.data.person import Person
from model.geometry import Box
from model.skeletons import LSP14

Floats = NDArray[np.float64]

_UPRIGHT: Floats = np.array(
    [
        (40, 98), (41, 75), (42, 50), (58, 50), (59, 75), (60, 98),
        (30, 55), (33, 38), (38, 20), (62, 20), (67, 38), (70, 55), (50, 15), (50, 2),
    ],
    np.float64,
)  # fmt: skip
"""LSP14's joints of somebody who faces us, in a box of `Court.size_px`."""


class Court:
    """People, labels and witnesses of a test, in LSP's 14 joints."""

    skeleton = LSP14
    size_px = 100.0

    def poses(self, people: int, seed: int) -> Floats:
        """True places `[P, K, 2]`: about half turn their backs to us; no two are alike."""
        rng = np.random.default_rng(seed)
        points = np.repeat(_UPRIGHT[None], people, 0)
        away = rng.random(people) < 0.5
        points[away, :, 0] = self.size_px - points[away, :, 0]
        return points + rng.normal(0, 3, points.shape)

    def label(self, points: Floats, flags: NDArray[np.bool_] | None = None) -> list[Person]:
        """People with labels `[P, K, 2]`; flags `[P, K]`: which joints have one."""
        flags = np.ones(points.shape[:2], np.bool_) if flags is None else flags
        joints = np.concatenate([points, flags[..., None]], -1) * flags[..., None]
        box = Box(0, 0, self.size_px, self.size_px)
        return [
            Person(Path(f"{i}.png"), joints_img=row, box_img=box)
            for i, row in enumerate(joints.astype(np.float32))
        ]

    def hear(self, people: Sequence[Person], answers: Floats, sigma_px: float = 4) -> Testimony:
        """W witnesses whose maps are Gaussians about their answers `[W, P, K, 2]`."""
        labels = np.stack([person.joints_img[:, :2] for person in people]).astype(np.float64)

        def at(points: Floats) -> Floats:
            squared = np.square(points - answers).sum(-1)
            powers = np.array(POWERS)[:, None, None, None] / (2 * sigma_px**2)
            return np.asarray(np.exp(-powers * squared) * powers / np.pi)

        scores = np.full((*answers.shape[:-1], 1), 0.9)
        mirror = labels[:, self.skeleton.flip_order]
        return Testimony(np.concatenate([answers, scores], -1), at(labels), at(mirror))

    def noisy(self, truth: Floats, *, seed: int, noise_px: float = 2, witnesses: int = 4) -> Floats:
        """Answers `[W, P, K, 2]` that are right but for some noise."""
        noise = np.random.default_rng(seed).normal(0, noise_px, (witnesses, *truth.shape))
        return np.asarray(truth + noise)

    def judge(self, people: Sequence[Person], heard: Testimony) -> Verdict:
        return judge(weigh_evidence(people, heard), self.skeleton)

    def exchange(self, points: Floats, p: int, *joints: str) -> Floats:
        """Labels of which one person's left and right ones are exchanged."""
        out = points.copy()
        for joint in joints:
            a, b = (self.skeleton.index(f"{side}_{joint}") for side in ("left", "right"))
            out[p, [a, b]] = points[p, [b, a]]
        return out

    def enlarge(self, person: Person, by: float) -> Person:
        """The same person on a photograph that is `by` times as large."""
        joints = person.joints_img.copy()
        joints[:, :2] *= by
        return replace(person, joints_img=joints, box_img=person.box_img.moved(by, 0, 0))


@pytest.fixture(scope="session")
def court() -> Court:
    return Court()
