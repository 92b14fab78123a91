"""Checkpoints on disk: whole or not there, rebuilt from the file alone, refused by name."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from model.config import Config, load_config
from model.errors import CheckpointUnusable, ConfigError
from model.files import replaced
from model.network import MultiBranch
from model.schemes import build_scheme
from model.skeletons import Skeleton, from_description
from model.training.state.learner import Learner

FORMAT: Final = 1

_NAMED: Final = 3
"""Of weights that do not fit so many are named; the others are counted."""


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """The file takes the place of the one before when it is complete."""
    # In memory first: where the disk is full, torch's own writer hides what the file says.
    content = io.BytesIO()
    torch.save({"format": FORMAT, **state}, content)
    with replaced(path) as file:
        file.write(content.getbuffer())


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


def load_judged(path: Path, device: torch.device) -> tuple[Config, Skeleton, Learner]:
    """What `Session.save_judged` wrote, rebuilt from the file alone. Raises CheckpointUnusable."""
    state = read_checkpoint(path)
    config = config_of(state, path)
    try:
        skeleton = from_description(state["skeleton"])
        network = MultiBranch(config.network, len(skeleton))
        learner = Learner(network, build_scheme(config, len(skeleton)))
        fill(learner, state["judged"], path)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointUnusable(f"{path.name} does not hold a whole network") from error
    learner.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return config, skeleton, learner.eval().requires_grad_(False)


def config_of(state: Mapping[str, Any], path: Path) -> Config:
    """The configuration that a checkpoint was made with. Raises CheckpointUnusable."""
    try:
        return load_config(state["config"])
    except (KeyError, ConfigError) as error:
        raise CheckpointUnusable(
            f"{path.name} is of another version of this code: {error}"
        ) from error


def fill(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load the weights of a file. Raises CheckpointUnusable naming those that do not fit."""
    ours = module.state_dict()
    faults = [f"{name} is missing" for name in ours if name not in weights]
    faults += [f"{name} is unknown here" for name in weights if name not in ours]
    faults += [
        f"{name} is {list(weights[name].shape)}, here {list(weight.shape)}"
        for name, weight in ours.items()
        if name in weights and weights[name].shape != weight.shape
    ]
    if faults:
        more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        named = "; ".join(faults[:_NAMED])
        raise CheckpointUnusable(f"{path.name} is of another architecture: {named}{more}")
    module.load_state_dict(weights)
