"""The training loop: steps, epochs, and what is due between them."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Final

import torch
from torch import Tensor

from model.data.feed import Feed
from model.data.packing import Pack
from model.errors import ConfigError, Fault, TrainingDiverged
from model.training.parallel.group import ALONE, Group
from model.training.randomness import generator_for
from model.training.schedules import lr_factor, ramp_up
from model.training.state.clock import Clock, Spent
from model.training.state.progress import add_parts, mean_parts
from model.training.state.session import Session
from model.training.step import NotFinite, Step

ORDER: Final = 1
"""The stream of random numbers that an epoch's order is drawn from."""

_NAMED: Final = 5
"""Of the people of a batch that broke a training so many are named."""


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
        group: Group = ALONE,
        name: Callable[[int], str] = str,
    ) -> None:
        """stop: asked before every step; one process of the group that says so stops all.
        name: of the person in a row of the pack, for messages. Raises ConfigError."""
        config = session.config
        self.session, self.people, self.group = session, people, group
        self.stop, self.report, self.checkpoint, self.name = stop, report, checkpoint, name
        self.batch_size = min(config.training.batch_size, len(people))
        if self.batch_size < group.size:
            fault = f"{group.size} are to share {self.batch_size} people a step"
            raise ConfigError([Fault("training.devices", fault, f"1 … {self.batch_size}")])
        self.steps_per_epoch = len(people) // self.batch_size
        self.steps = self.steps_per_epoch * config.training.epochs
        self.step = Step(session, group)
        self.feed = Feed(people, session.device)
        self.images_per_s = 0.0  # over the last steps
        self.stopped = False

    def epochs(self) -> Iterator[dict[str, Any]]:
        """Trains from where the session stands. Ends early when `stop()` says so (`stopped`)."""
        checkpoint_s = self.session.config.training.checkpoint_s
        progress = self.session.progress
        reported = time.monotonic()
        while progress.step < self.steps:
            epoch = progress.step // self.steps_per_epoch
            saved = time.monotonic()
            for left in self._steps(epoch):
                if time.monotonic() - reported > 1 or not left:
                    reported = time.monotonic()
                    self.report(self._progress(epoch, left))
                if time.monotonic() - saved > checkpoint_s and left:
                    self.checkpoint()
                    saved = time.monotonic()
            if self.stopped:
                return
            yield self._entry(epoch)

    def lr(self, step: int) -> float:
        """The learning rate of a step."""
        config = self.session.config
        epoch = step / self.steps_per_epoch
        return config.optim.lr * lr_factor(config.optim, epoch, config.training.epochs)

    def order(self, epoch: int) -> Tensor:
        """The rows of the pack in the order of an epoch, int64 `[P]`."""
        seed = self.session.config.training.seed
        generator = generator_for(torch.device("cpu"), seed, ORDER, epoch)
        return torch.randperm(len(self.people), generator=generator)

    def _steps(self, epoch: int) -> Iterator[int]:
        """Does the epoch's steps that are left; yields how many are left after each."""
        progress, group = self.session.progress, self.group
        ramp = ramp_up(epoch, self.session.config.ramp_epochs)
        batches = list(self.order(epoch).split(self.batch_size))[: self.steps_per_epoch]
        batches = batches[progress.step % self.steps_per_epoch :]
        share = group.share(self.batch_size)
        with closing(self.feed.batches(rows[share] for rows in batches)) as fed:
            clock = Clock(group.size)
            for left, rows in zip(range(len(batches) - 1, -1, -1), batches, strict=True):
                if group.any(self.stop()):
                    self.stopped = True
                    return
                asked = time.monotonic()
                pixels, joints = next(fed)
                data_s = time.monotonic() - asked
                try:
                    lr = self.lr(progress.step)
                    parts = self.step(pixels, joints, people=len(rows), lr=lr, ramp=ramp)
                except NotFinite as fault:
                    raise TrainingDiverged(self._broken(fault, epoch, rows)) from fault
                add_parts(progress.loss_sums, parts)
                progress.step += 1
                accounts = (progress.spent, progress.epoch_spent)
                self._went(clock.lap(accounts, images=len(rows), data_s=data_s))
                yield left
                clock.start()

    def _went(self, seconds: float) -> None:
        """Note how long a step took."""
        rate = self.batch_size / max(seconds, 1e-9)
        self.images_per_s = 0.9 * self.images_per_s + 0.1 * rate if self.images_per_s else rate

    def _entry(self, epoch: int) -> dict[str, Any]:
        """What is kept of a finished epoch; the sums begin anew."""
        progress = self.session.progress
        spent, sums = progress.epoch_spent, progress.loss_sums
        progress.epoch_spent, progress.loss_sums = Spent(), {}
        return {
            "epoch": epoch + 1,
            "loss": mean_parts(sums, self.steps_per_epoch),
            "lr": self.lr(progress.step),
            "images_per_s": round(spent.images / max(spent.seconds, 1e-9), 1),
            "seconds": round(spent.seconds, 3),
            "data_s": round(spent.data_s, 3),
        }

    def _progress(self, epoch: int, left: int) -> dict[str, Any]:
        progress = self.session.progress
        images_left = (self.steps - progress.step) * self.batch_size
        return {
            "epoch": epoch + 1,
            "epochs": self.session.config.training.epochs,
            "step": progress.step,
            "steps": self.steps,
            "loss": mean_parts(progress.loss_sums, self.steps_per_epoch - left),
            "images_per_s": round(self.images_per_s, 1),
            "seconds_left": round(images_left / max(self.images_per_s, 1e-6), 1),
        }

    def _broken(self, fault: NotFinite, epoch: int, rows: Tensor) -> str:
        """Why a training ends here: what is no number, in which batch, and what may help."""
        names = [self.name(row) for row in rows[:_NAMED].tolist()]
        more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
        return (
            f"the loss is no longer a finite number at step {self.session.progress.step} "
            f"(epoch {epoch + 1}): {fault}; its batch: {', '.join(names)}{more}; the checkpoint "
            f"before it is kept; try a smaller optim.lr than {self.session.config.optim.lr}, "
            "or optim.clip_norm"
        )
