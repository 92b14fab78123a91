"""One step of training: crops, targets, maps, losses, gradients, and the weights moved."""

import contextlib
from math import isfinite
from typing import Final

import torch
from torch import Tensor, nn

from model.data.augment import Augment, Draws
from model.geometry import STRIDE, crop_to_map
from model.heatmaps import render
from model.losses import Whole
from model.schemes import Losses
from model.training.parallel.group import ALONE, Group
from model.training.randomness import generator_for
from model.training.state.session import Session

AUGMENTATION: Final = 2
"""The stream of random numbers that a step's crops are drawn from."""


class NotFinite(ArithmeticError):
    """A step's loss or gradient is no number; the weights are as they were before it."""

    def __init__(self, parts: dict[str, float]) -> None:
        wrong = [f"{name} is {value}" for name, value in parts.items() if not isfinite(value)]
        super().__init__(", ".join(wrong[1:] or wrong) or "its gradient is not finite")
        self.parts = parts


class Step:
    """Moves a session's weights by one batch. Called with every batch, by every process."""

    def __init__(self, session: Session, group: Group = ALONE) -> None:
        config = session.config
        self.session, self.group = session, group
        self.learner = group.parallel(session.learner)
        self.augment = Augment(
            config.augment, session.skeleton, config.data.crop_px, config.data.padding
        )
        H, W = config.data.crop_px
        self.map_size = (H // STRIDE, W // STRIDE)

    def __call__(
        self, pixels: Tensor, joints: Tensor, *, people: int, lr: float, ramp: float
    ) -> dict[str, float]:
        """The parts of the batch's loss, by name, of all processes together.

        pixels uint8 `[N, Hp, Wp, 3]` and joints `[N, K, 3]`: this process's share of a batch of so
        many people, as `model.data.feed` gives it. Raises NotFinite.
        """
        session = self.session
        for group in session.optimizer.param_groups:
            group["lr"] = lr
        images, joints_crop = self.crops(pixels, joints, people)
        whole = Whole(people, self.group.sum(joints_crop[..., 2].sum()))

        session.learner.train()
        session.optimizer.zero_grad(set_to_none=True)
        parts = self._gradients(images, joints_crop, whole, ramp)
        session.scaler.unscale_(session.optimizer)
        limit = session.config.optim.clip_norm or float("inf")
        norm = nn.utils.clip_grad_norm_(session.learner.parameters(), limit)
        # The one moment at which the device is waited for: all numbers of the step in one transfer.
        values = torch.stack([*self.group.sum(torch.stack(list(parts.values()))), norm]).tolist()
        found = dict(zip(parts, values, strict=False))
        # A scaler passes over a step whose gradient is too large for float16, and scales less.
        sound = isfinite(found["total"]) and (session.scaler.is_enabled() or isfinite(values[-1]))
        if not sound:
            raise NotFinite(found)
        session.scaler.step(session.optimizer)
        session.scaler.update()
        if session.average:
            session.average.update(session.learner, session.progress.step)
        return found

    def crops(self, pixels: Tensor, joints: Tensor, people: int) -> tuple[Tensor, Tensor]:
        """Augmented crops `[N, 3, H, W]` and joints_crop `[N, K, 3]`, drawn for this very step."""
        session = self.session
        position = (session.config.training.seed, AUGMENTATION, session.progress.step)
        generator = generator_for(session.device, *position)
        draws = Draws(generator, people, self.group.share(people))
        images, joints_crop = self.augment(pixels, joints, draws)
        return images.contiguous(memory_format=torch.channels_last), joints_crop

    def _gradients(
        self, images: Tensor, joints_crop: Tensor, whole: Whole, ramp: float
    ) -> dict[str, Tensor]:
        """Of every part of the share, one after another; the loss's parts, summed over them."""
        session = self.session
        # As many on every device: each part is a step in which all devices meet.
        count = min(session.config.training.accumulate, whole.people // self.group.size)
        cut = zip(images.tensor_split(count), joints_crop.tensor_split(count), strict=True)
        found: dict[str, Tensor] = {}
        for i, (crops, joints) in enumerate(cut, 1):
            apart = contextlib.nullcontext() if i == count else self.group.apart(self.learner)
            with apart:
                losses = self._losses(crops, joints, whole, ramp)
                session.scaler.scale(losses.total).backward()
            for name, value in losses.parts().items():
                found[name] = found.get(name, 0.0) + value.detach().float()
        return found

    def _losses(self, crops: Tensor, joints: Tensor, whole: Whole, ramp: float) -> Losses:
        session = self.session
        target = render(
            crop_to_map(joints[..., :2]), self.map_size, session.config.target.sigma_cells
        )
        with session.autocast():
            teacher = session.teacher(crops) if session.teacher else None
            losses: Losses = self.learner(crops, target, joints[..., 2], ramp, teacher, whole)
        return losses
