"""Everything that a training is at one moment: what a checkpoint holds and a resume restores.

Randomness is a pure function of (seed, step), so no generator's state needs to be kept: the order
of an epoch and the augmentation of a step are drawn from generators seeded by them
(`model.training.randomness`), and the schedules from the step. `step` is the data position as well.
"""

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch

from model.config import Config
from model.errors import CheckpointUnusable
from model.network import MultiBranch
from model.schemes import build_scheme
from model.skeletons import Skeleton
from model.training.parallel.group import ALONE, Group
from model.training.start.compiling import compile_in_place
from model.training.start.precision import DTYPES, precision
from model.training.state.checkpoints import config_of, fill, read_checkpoint, write_checkpoint
from model.training.state.ema import Average
from model.training.state.learner import Learner
from model.training.state.progress import Progress
from model.training.state.teacher import open_teacher


class Session:
    """A training in memory."""

    def __init__(self, config: Config, skeleton: Skeleton, device: torch.device) -> None:
        self.given = config
        self.config = config  # with what `settle` chose
        self.skeleton, self.device = skeleton, device
        seed = config.training.seed
        network = MultiBranch.build(config.network, len(skeleton), seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            scheme = build_scheme(config, len(skeleton))
        learner = Learner(network, scheme).to(device)
        learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.learner = learner
        decay = config.training.ema_decay
        self.average = Average(learner, decay) if decay else None
        self.teacher = open_teacher(config, skeleton, learner.scheme.teacher, self.judged, device)
        self.notes: list[str] = []
        """What the log should say of how it was made."""
        if config.training.compile and (note := compile_in_place(network, device)):
            self.notes.append(note)
        optim = config.optim
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optim.optimizer]
        self.optimizer = kind(
            learner.parameters(), lr=optim.lr, weight_decay=optim.weight_decay, fused=True
        )
        self.progress = Progress(
            teacher=self.teacher.sha256 if self.teacher else "", amp=precision(config, device)
        )
        self.scaler = self._new_scaler()

    @property
    def judged(self) -> Learner:
        """What is evaluated and exported: the averaged weights where there are any."""
        return self.average.module if self.average else self.learner

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Mixed precision where the device is faster with it."""
        dtype = DTYPES[self.progress.amp]
        return torch.autocast(self.device.type, dtype, enabled=dtype is not None)

    def _new_scaler(self) -> torch.amp.GradScaler:
        """Of losses whose gradients float16 would round to nothing."""
        scales = self.progress.amp == "fp16" and self.device.type == "cuda"
        return torch.amp.GradScaler(self.device.type, enabled=scales)

    def save(self, path: Path) -> None:
        """A complete checkpoint; the file is whole or not there."""
        state = {
            "config": self.given.model_dump(mode="json"),
            "skeleton": self.skeleton.describe(),
            "progress": asdict(self.progress),
            "learner": self.learner.state_dict(),
            "average": self.average.module.state_dict() if self.average else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        write_checkpoint(path, state)

    def save_judged(self, path: Path) -> None:
        """What is evaluated and exported, and enough to rebuild it; not enough to resume."""
        state = {
            "config": self.config.without_paths().model_dump(mode="json"),
            "skeleton": self.skeleton.describe(),
            "judged": self.judged.state_dict(),
        }
        write_checkpoint(path, state)

    def restore(self, path: Path, group: Group = ALONE) -> None:
        """Go on from a checkpoint of the same configuration (more epochs are allowed) and data.

        It need be on the machine of the group's first process only.
        Raises CheckpointUnusable.
        """
        state = group.same(lambda: read_checkpoint(path))
        if differing := _differing(config_of(state, path), self.given):
            raise CheckpointUnusable(
                f"{path.name} is of another configuration: {', '.join(differing)}"
            )
        try:
            progress = Progress.from_saved(state["progress"])
            self._refuse_changed(progress)
            fill(self.learner, state["learner"], path)
            if self.average:
                fill(self.average.module, state["average"], path)
            self.optimizer.load_state_dict(state["optimizer"])
            self.progress = progress  # its precision as well, whatever would be measured today
            self.scaler = self._new_scaler()
            self.scaler.load_state_dict(state["scaler"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointUnusable(f"{path.name} does not hold a whole training") from error
        self.settle()

    def settle(self, *, batch_size: int = 0, epochs: int = 0) -> None:
        """What the configuration leaves to the device, chosen now or, by default, long ago.

        It holds for the rest of the run, whose steps and schedules follow from it.
        """
        progress = self.progress
        progress.batch_size = batch_size or progress.batch_size
        progress.epochs = epochs or progress.epochs
        chosen = {"batch_size": progress.batch_size, "epochs": progress.epochs}
        training = self.given.training.model_copy(
            update={name: value for name, value in chosen.items() if value}
        )
        self.config = self.given.model_copy(update={"training": training})

    def _refuse_changed(self, saved: Progress) -> None:
        for what, before, now in (
            ("training data", saved.data, self.progress.data),
            ("validation data", saved.valid, self.progress.valid),
            ("teacher", saved.teacher, self.progress.teacher),
        ):
            if before != now:
                raise CheckpointUnusable(
                    f"the {what} changed since the run began: a resumed run would be of neither"
                )


_OF_THE_WAY: Final = (
    "cache",
    "checkpoint_s",
    "compile",
    "devices",
    "epochs",
    "init",
    "keep_best",
    "keep_last",
    "max_hours",
    "tensorboard",
)
"""Of `training` what says how long and by what means, and may be another when a run goes on."""


def _same_run(config: Config) -> dict[str, Any]:
    """What changes the next step, or what it is of."""
    tree: dict[str, Any] = config.model_dump(mode="json")
    for key in _OF_THE_WAY:
        del tree["training"][key]
    # Known by their content, wherever it lies: a run may go on on another machine.
    tree["scheme"].pop("teacher", None)
    for source in (*tree["data"]["train"], *tree["data"]["valid"]):
        del source["path"]
    del tree["data"]["weights"]  # the fingerprint of the data knows them
    del tree["export"]
    return tree


def _differing(a: Config, b: Config) -> list[str]:
    left, right = _same_run(a), _same_run(b)
    return [
        f"{part}.{key}"
        for part in left
        for key in left[part]
        if left[part][key] != right[part].get(key)
    ]
