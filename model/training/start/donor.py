"""A trained network that another may begin with, taken apart: an exported student or a run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from model.errors import CheckpointUnusable, ConfigError, Fault
from model.predictor import METADATA_KEY, Card
from model.skeletons import Skeleton
from model.training.start.begin import BEST
from model.training.state.checkpoints import load_judged

Weights = dict[str, Tensor]

_EPS: Final = 1e-5  # of torch's batch normalisation
_STUDENT: Final = "student."
_FOLDED: Final = ".weight_bias"
"""The exporter's name for the bias of a convolution that took in its batch normalisation."""


@dataclass(frozen=True)
class Donor:
    """Weights float32 by where they stand, and what must be said of their origin.

    stem: by their name in the stem. students: by branch, what the branch adds to the stem (`chain`
    names it). scheme: by their name, where the file has them.
    """

    skeleton: Skeleton
    run: str
    licence: str
    data: tuple[str, ...]
    stem: Weights
    students: dict[str, Weights]
    scheme: Weights


def read_donor(path: Path, where: str) -> Donor:
    """An exported student's or a checkpoint's weights. Raises ConfigError; `where` is its key."""
    try:
        return _of_student(path) if path.suffix == ".onnx" else _of_run(path)
    except CheckpointUnusable as error:
        raise ConfigError([Fault(where, str(error))]) from None
    except Exception as error:  # protobuf, JSON and torch each have their own
        accepted = "an ONNX file that `okdhp export` wrote, or a run's best.pt"
        raise ConfigError([Fault(where, f"{path.name} is not a student", accepted)]) from error


def chain(state: Mapping[str, Tensor], branch: str) -> Weights:
    """One branch's weights by their place in the chain of stacks from the stem on.

    state: of a `MultiBranch` or a `Student`; branch: the prefix of the branch in it. Shared stacks
    come first, so `2.score.weight` is the third stack's whether or not others share it; a stack
    that is entered by another width has `N.enter`.
    """
    shared = {int(name.split(".")[1]) for name in state if name.startswith("shared.")}
    found: Weights = {}
    for name, weight in state.items():
        if name.startswith("shared."):
            found[name.removeprefix("shared.")] = weight
        elif name.startswith(f"{branch}.enter."):
            found[f"{len(shared)}{name.removeprefix(branch)}"] = weight
        elif name.startswith(f"{branch}.stacks."):
            place, rest = name.removeprefix(f"{branch}.stacks.").split(".", 1)
            found[f"{len(shared) + int(place)}.{rest}"] = weight
    return found


def stem_of(state: Mapping[str, Tensor]) -> Weights:
    """The stem's weights by their name in it."""
    return {n.removeprefix("stem."): weight for n, weight in state.items() if n.startswith("stem.")}


def _of_run(path: Path) -> Donor:
    config, skeleton, learner = load_judged(path, torch.device("cpu"))
    state = learner.network.state_dict()
    sources = config.data.train
    return Donor(
        skeleton=skeleton,
        run=_run_name(path),
        licence=config.export.licence,
        data=tuple(str(s.path.name if s.path else s.format) for s in sources),
        stem=stem_of(state),
        students={
            name: chain(state, f"branches.{i}") for i, name in enumerate(learner.network.names)
        },
        scheme=dict(learner.scheme.state_dict()),
    )


def _run_name(path: Path) -> str:
    """A checkpoint lies in its run's folder or, kept by a server, in one of its job's id."""
    if path.name != PurePath(BEST).name:
        return path.stem
    return path.parent.parent.name if path.match(BEST) else path.parent.name


def _of_student(path: Path) -> Donor:
    file = onnx.load(path)
    text = next(entry.value for entry in file.metadata_props if entry.key == METADATA_KEY)
    card = Card.from_json(text)
    state = dict(_unfolded(file.graph))
    return Donor(
        skeleton=card.skeleton,
        run=card.run,
        licence=card.licence,
        data=card.data,
        stem=stem_of(state),
        students={card.branch: chain(state, "branch")},
        scheme={},
    )


def _unfolded(graph: "onnx.GraphProto") -> Iterator[tuple[str, Tensor]]:
    """The student's parameters; a convolution that was folded gets a neutral normalisation after.

    With variance 1 − ε and mean 0 it adds the convolution's bias and nothing else.
    """
    for entry in graph.initializer:
        if not entry.name.startswith(_STUDENT):
            continue
        name = entry.name.removeprefix(_STUDENT)
        weight = torch.from_numpy(numpy_helper.to_array(entry).astype("float32"))
        if not name.endswith(_FOLDED):
            yield name, weight
            continue
        body, place = name.removesuffix(_FOLDED).rsplit(".", 1)
        norm = f"{body}.{int(place) + 1}"
        yield f"{norm}.weight", torch.ones_like(weight)
        yield f"{norm}.bias", weight
        yield f"{norm}.running_mean", torch.zeros_like(weight)
        yield f"{norm}.running_var", torch.full_like(weight, 1 - _EPS)


def is_neutral(norm: nn.BatchNorm2d) -> bool:
    """Whether a normalisation was folded away, and only adds what is left of it."""
    variance = norm.running_var
    return variance is not None and bool((variance == 1 - _EPS).all())
