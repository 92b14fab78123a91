"""Everything that a training is at one moment: what a checkpoint holds and a resume restores.

Randomness is a pure function of (seed, step), so no generator's state needs to be kept: the order
of an epoch and the augmentation of a step are drawn from generators seeded by them
(`generator_for`), and the schedules from the step. `step` is the data position as well.
"""

import contextlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from model.config import Config, load_config
from model.errors import CheckpointUnusable, ConfigError
from model.files import write_with
from model.network import MultiBranch
from model.schemes import Scheme, build_scheme
from model.skeletons import Skeleton, from_description
from model.training.ema import Average

FORMAT: Final = 1


@dataclass
class Progress:
    """Where the training stands; plain numbers, saved as they are."""

    data: str = ""  # fingerprint of what is learnt from
    step: int = 0
    best_score: float | None = None
    best_epoch: int = 0
    best_branch: str = ""
    loss_sums: dict[str, float] = field(default_factory=dict)  # of the epoch under way
    history: list[dict[str, Any]] = field(default_factory=list)  # an entry an epoch


class Learner(nn.Module):
    """The students and what teaches them: the two parts that have weights."""

    def __init__(self, network: MultiBranch, scheme: Scheme[Any]) -> None:
        super().__init__()
        self.network, self.scheme = network, scheme


class Session:
    """A training in memory."""

    def __init__(self, config: Config, skeleton: Skeleton, device: torch.device) -> None:
        self.config, self.skeleton, self.device = config, skeleton, device
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
        optim = config.optim
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optim.optimizer]
        self.optimizer = kind(
            learner.parameters(), lr=optim.lr, weight_decay=optim.weight_decay, fused=True
        )
        self.amp_dtype = amp_dtype(config.training.amp, device)
        self.scaler = torch.amp.GradScaler(
            device.type, enabled=self.amp_dtype is torch.float16 and device.type == "cuda"
        )
        self.progress = Progress()

    @property
    def judged(self) -> Learner:
        """What is evaluated and exported: the averaged weights where there are any."""
        learner = self.average.module if self.average else self.learner
        assert isinstance(learner, Learner)
        return learner

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Mixed precision where the device multiplies it in hardware."""
        return torch.autocast(self.device.type, self.amp_dtype, enabled=self.amp_dtype is not None)

    def save(self, path: Path) -> None:
        """A complete checkpoint; the file is whole or not there."""
        state = {
            "format": FORMAT,
            "config": self.config.model_dump(mode="json"),
            "skeleton": self.skeleton.describe(),
            "progress": asdict(self.progress),
            "learner": self.learner.state_dict(),
            "average": self.average.module.state_dict() if self.average else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        write_with(path, lambda file: torch.save(state, file))

    def save_judged(self, path: Path) -> None:
        """What is evaluated and exported, and enough to rebuild it; not enough to resume."""
        state = {
            "format": FORMAT,
            "config": self.config.model_dump(mode="json"),
            "skeleton": self.skeleton.describe(),
            "judged": self.judged.state_dict(),
        }
        write_with(path, lambda file: torch.save(state, file))

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint of the same configuration (more epochs are allowed) and data.

        Raises CheckpointUnusable.
        """
        data = self.progress.data
        state = read_checkpoint(path)
        theirs, ours = _config_of(state, path), self.config
        if _same_run(theirs) != _same_run(ours):
            raise CheckpointUnusable(
                f"{path.name} is of another configuration: {', '.join(_differing(theirs, ours))}"
            )
        try:
            self.learner.load_state_dict(state["learner"])
            if self.average:
                self.average.module.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            self.progress = Progress(**state["progress"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointUnusable(f"{path.name} does not hold a whole training") from error
        if self.progress.data != data:
            raise CheckpointUnusable(
                "the training data changed since the run began: a resumed run would be of neither"
            )


def load_judged(path: Path, device: torch.device) -> tuple[Config, Skeleton, Learner]:
    """What `Session.save_judged` wrote, rebuilt from the file alone. Raises CheckpointUnusable."""
    state = read_checkpoint(path)
    config = _config_of(state, path)
    try:
        skeleton = from_description(state["skeleton"])
        network = MultiBranch(config.network, len(skeleton))
        learner = Learner(network, build_scheme(config, len(skeleton)))
        learner.load_state_dict(state["judged"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointUnusable(f"{path.name} does not hold a whole network") from error
    learner.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return config, skeleton, learner.eval().requires_grad_(False)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's tree, loaded without running anything of it. Raises CheckpointUnusable."""
    if not path.exists():
        raise CheckpointUnusable(f"there is no checkpoint {path.name} in the run folder")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        assert state["format"] == FORMAT
    except Exception as error:  # torch raises a dozen kinds on damaged files
        raise CheckpointUnusable(f"{path.name} is damaged or of another version") from error
    return dict(state)


def _config_of(state: dict[str, Any], path: Path) -> Config:
    try:
        return load_config(state["config"])
    except (KeyError, ConfigError) as error:
        raise CheckpointUnusable(
            f"{path.name} is of another version of this code: {error}"
        ) from error


def generator_for(device: torch.device, seed: int, *position: int) -> torch.Generator:
    """A generator that depends on the seed and a position in the training alone."""
    mixed = 0
    for number in (seed, *position):
        # splitmix64's constants: neighbouring positions get unrelated seeds
        mixed = ((mixed ^ (number + 0x9E3779B97F4A7C15)) * 0xBF58476D1CE4E5B9) % 2**63
        mixed ^= mixed >> 31
    return torch.Generator(device).manual_seed(mixed)


def amp_dtype(wanted: str, device: torch.device) -> torch.dtype | None:
    """The dtype of mixed precision on the device, None for none."""
    if wanted == "bf16":
        return torch.bfloat16
    if wanted == "fp16":
        return torch.float16
    if wanted == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        if device.type == "cpu" and torch.cpu._is_amx_tile_supported():
            return torch.bfloat16  # measured 3.2 × fp32 on AMX; without it slower than fp32
    return None


def mean_parts(sums: dict[str, float], steps: int) -> dict[str, float]:
    """The loss's parts, averaged over an epoch's steps."""
    return {name: round(total / max(steps, 1), 5) for name, total in sums.items()}


def add_parts(sums: dict[str, float], parts: dict[str, Tensor]) -> None:
    """Add one step's parts; one transfer for all of them."""
    values = torch.stack([part.detach().float() for part in parts.values()]).tolist()
    for name, value in zip(parts, values, strict=True):
        sums[name] = sums.get(name, 0.0) + value


def _same_run(config: Config) -> dict[str, Any]:
    tree: dict[str, Any] = config.model_dump(mode="json")
    for key in ("epochs", "checkpoint_s"):
        del tree["training"][key]
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
