"""The training loop: steps, epochs, and what is due between them."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from model.data.augment import Augment, Draws
from model.data.packing import Pack
from model.errors import TrainingDiverged
from model.geometry import STRIDE, crop_to_map
from model.heatmaps import render
from model.schemes import Losses
from model.training.progress import add_parts, mean_parts
from model.training.randomness import generator_for
from model.training.schedules import lr_factor, ramp_up
from model.training.session import Session


class Loop:
    """Drives a session over a pack. `epochs()` yields each finished epoch's training entry."""

    def __init__(
        self,
        session: Session,
        people: Pack,
        *,
        stop: Callable[[], bool],
        report: Callable[[dict[str, Any]], None],
        checkpoint: Callable[[], None],
    ) -> None:
        config = session.config
        self.session, self.people = session, people
        self.stop, self.report, self.checkpoint = stop, report, checkpoint
        self.batch_size = min(config.training.batch_size, len(people))
        self.steps_per_epoch = len(people) // self.batch_size
        self.steps = self.steps_per_epoch * config.training.epochs
        self.augment = Augment(
            config.augment, session.skeleton, config.data.crop_px, config.data.padding
        )
        self.stopped = False

    def epochs(self) -> Iterator[dict[str, Any]]:
        """Trains from where the session stands. Ends early when `stop()` says so (`stopped`)."""
        training = self.session.config.training
        progress = self.session.progress
        saved = reported = time.monotonic()
        rate = _Rate(self.batch_size)
        while progress.step < self.steps:
            epoch, position = divmod(progress.step, self.steps_per_epoch)
            order = self._order(epoch)
            began = time.monotonic()
            for at in range(position, self.steps_per_epoch):
                if self.stop():
                    self.stopped = True
                    return
                chosen = order[at * self.batch_size : (at + 1) * self.batch_size]
                losses = train_step(self, chosen, epoch)
                parts = losses.parts()
                add_parts(progress.loss_sums, parts)
                progress.step += 1
                rate.tick()
                now = time.monotonic()
                if now - reported > 1 or at + 1 == self.steps_per_epoch:
                    reported = now
                    self.report(self._progress(epoch, at + 1, rate))
                if now - saved > training.checkpoint_s and at + 1 < self.steps_per_epoch:
                    self.checkpoint()
                    saved = time.monotonic()
            entry = {
                "epoch": epoch + 1,
                "loss": mean_parts(progress.loss_sums, self.steps_per_epoch),
                "lr": self.lr(progress.step),
                "images_per_s": round(rate.images_per_s, 1),
                "seconds": round(time.monotonic() - began, 1),
            }
            progress.loss_sums = {}
            yield entry
            rate.pause()
            saved = time.monotonic()  # the caller has saved

    def lr(self, step: int) -> float:
        """The learning rate of a step."""
        config = self.session.config
        epoch = step / self.steps_per_epoch
        return config.optim.lr * lr_factor(config.optim, epoch, config.training.epochs)

    def _order(self, epoch: int) -> Tensor:
        generator = generator_for(torch.device("cpu"), self.session.config.training.seed, 1, epoch)
        return torch.randperm(len(self.people), generator=generator)

    def _progress(self, epoch: int, step_in_epoch: int, rate: "_Rate") -> dict[str, Any]:
        progress = self.session.progress
        left = (self.steps - progress.step) * self.batch_size / max(rate.images_per_s, 1e-6)
        return {
            "epoch": epoch + 1,
            "epochs": self.session.config.training.epochs,
            "step": progress.step,
            "steps": self.steps,
            "loss": mean_parts(progress.loss_sums, step_in_epoch),
            "images_per_s": round(rate.images_per_s, 1),
            "seconds_left": round(left, 1),
        }


def train_step(loop: Loop, chosen: Tensor, epoch: int) -> Losses:
    """One step on the people `chosen` `[N]`. Raises TrainingDiverged."""
    session = loop.session
    config, progress = session.config, session.progress
    for group in session.optimizer.param_groups:
        group["lr"] = loop.lr(progress.step)
    images, joints_crop = make_batch(loop, chosen)

    session.learner.train()
    H, W = config.data.crop_px
    target = render(
        crop_to_map(joints_crop[..., :2]), (H // STRIDE, W // STRIDE), config.target.sigma_cells
    )
    with session.autocast():
        maps = session.learner.network(images)
        teacher = session.teacher(images) if session.teacher else None
        losses: Losses = session.learner.scheme(
            maps, target, joints_crop[..., 2], ramp_up(epoch, config.ramp_epochs), teacher
        )
    session.optimizer.zero_grad(set_to_none=True)
    session.scaler.scale(losses.total).backward()
    session.scaler.unscale_(session.optimizer)
    limit = config.optim.clip_norm or float("inf")
    norm = nn.utils.clip_grad_norm_(session.learner.parameters(), limit)
    # Reading the norm waits for the device; it also tells a loss that is no number.
    if not session.scaler.is_enabled() and not torch.isfinite(norm):
        raise TrainingDiverged(
            f"the loss is no longer a finite number at step {progress.step} (epoch {epoch + 1}); "
            f"try a smaller optim.lr than {config.optim.lr} or optim.clip_norm"
        )
    session.scaler.step(session.optimizer)
    session.scaler.update()
    if session.average:
        session.average.update(session.learner, progress.step)
    return losses


def make_batch(loop: Loop, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Augmented crops `[N, 3, H, W]` and joints_crop `[N, K, 3]` on the training device."""
    session = loop.session
    rows = chosen.numpy()
    pixels = torch.from_numpy(loop.people.pixels[rows]).to(session.device, non_blocking=True)
    joints = torch.from_numpy(loop.people.joints[rows]).to(session.device, non_blocking=True)
    seed = session.config.training.seed
    generator = generator_for(session.device, seed, 2, session.progress.step)
    images, joints_crop = loop.augment(pixels, joints, Draws(generator, len(rows), slice(None)))
    return images.contiguous(memory_format=torch.channels_last), joints_crop


class _Rate:
    """Images a second over the last steps, evaluations and saves left out."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.images_per_s = 0.0
        self._last = time.monotonic()

    def tick(self) -> None:
        now = time.monotonic()
        rate = self.batch_size / max(now - self._last, 1e-9)
        self.images_per_s = 0.9 * self.images_per_s + 0.1 * rate if self.images_per_s else rate
        self._last = now

    def pause(self) -> None:
        self._last = time.monotonic()
