"""Fine-tuning: a new network takes over what fits of a trained one's weights."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.data.packing import exact_crops
from model.data.person import Person
from model.errors import ConfigError, Fault
from model.files import sha256_of
from model.network import MultiBranch
from model.skeletons import Skeleton, joint_map
from model.training.start.begin import BEST, local_file
from model.training.start.donor import Donor, Weights, chain, is_neutral, read_donor, stem_of
from model.training.state.session import Session

KEY: Final = "training.init"

_JOINT_AXIS: Final = {"score.weight": 0, "score.bias": 0, "merge_score.weight": 1}
"""Which axis of these layers' weights counts joints."""
_MEASURED: Final = 64
"""Statistics that a file lacks are measured on so many people: 65,000 values a channel and more."""
_SHOWN: Final = 8


@dataclass(frozen=True)
class Inheritance:
    """What a training began with; plain values, for the events, the manifest and the licences."""

    sha256: str  # of the file
    run: str  # that made it
    licence: str
    data: tuple[str, ...]  # that it was trained on
    branches: dict[str, str | None]  # of the new network, with the donor's branch of each
    taken: int  # weights of the new network that are the donor's
    weights: int  # of the new network
    fresh: tuple[str, ...]  # its layers and joints that begin anew

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        pairs = ", ".join(f"{new} from {old}" for new, old in self.branches.items() if old)
        told = f"begins with {self.taken:,} of {self.weights:,} weights of {self.run}: {pairs}"
        if not self.fresh:
            return told
        more = f" and {len(self.fresh) - _SHOWN} more" if len(self.fresh) > _SHOWN else ""
        return f"{told}; anew: {', '.join(self.fresh[:_SHOWN])}{more}"


def begin(session: Session, people: Sequence[Person]) -> Inheritance:
    """What `training.init` asks for, laid into a session. people: those that it will train on.

    Raises ConfigError.
    """
    config = session.config
    assert config.training.init is not None
    file = local_file(config.training.init, KEY, inside=(BEST,))
    spread = people[:: max(1, len(people) // _MEASURED)][:_MEASURED]
    crops, _ = exact_crops(spread, config.data.crop_px, config.data.padding)
    return inherit(session, file, crops)


def inherit(session: Session, file: Path, crops: NDArray[np.uint8]) -> Inheritance:
    """Lay the weights of a student's or a run's file into a session that has not trained yet.

    crops: uint8 RGB `[P, H, W, 3]` of training people, on which the normalisations are measured
    of which a file has no statistics.

    A layer is taken whole or not at all; what writes or reads maps is taken joint by joint, by
    name. The averaged weights begin with the same. Raises ConfigError where nothing fits.
    """
    donor = read_donor(file, KEY)
    learner = session.learner
    laying = _Laying(donor.skeleton, session.skeleton)
    branches = _lay_network(laying, donor, learner.network)
    if not laying.taken:
        fault = f"nothing of {file.name} fits this network"
        raise ConfigError([Fault(KEY, fault, "a student of a like `network`")])
    # What a scheme learnt belongs to branches in an order and to joints.
    same = laying.same_joints and list(branches.values()) == list(donor.students)
    laying.lay(donor.scheme if same else {}, learner.scheme.state_dict(), "scheme")
    measure_neutral(learner.network, crops)
    if session.average:
        session.average.module.load_state_dict(learner.state_dict())
    return Inheritance(
        sha256=sha256_of(file),
        run=donor.run,
        licence=donor.licence,
        data=donor.data,
        branches=branches,
        taken=laying.taken,
        weights=sum(p.numel() for p in learner.parameters()),
        fresh=(*laying.fresh, *laying.fresh_joints),
    )


def _lay_network(laying: "_Laying", donor: Donor, network: MultiBranch) -> dict[str, str | None]:
    """Stem and stacks; returns which of the donor's branches each of the network's took."""
    state = network.state_dict()
    laying.lay(donor.stem, stem_of(state), "stem")
    branches: dict[str, str | None] = {}
    for index, name in enumerate(network.names):
        wanted = chain(state, f"branches.{index}")
        giver = _giver(donor, laying, name, wanted)
        branches[name] = giver
        if index:  # the first branch has laid what all share
            wanted = {
                k: w for k, w in wanted.items() if int(k.split(".")[0]) >= len(network.shared)
            }
        laying.lay(donor.students[giver] if giver else {}, wanted, name)
    return branches


def _giver(donor: Donor, laying: "_Laying", name: str, wanted: Weights) -> str | None:
    """The donor's branch of which most fits; among equals the one of the same name."""
    fitting = {giver: laying.fitting(weights, wanted) for giver, weights in donor.students.items()}
    best = max(fitting, key=lambda giver: (fitting[giver], giver == name))
    return best if fitting[best] else None


class _Laying:
    """Copies layers from one network's weights into another's, and keeps the books."""

    def __init__(self, theirs: Skeleton, ours: Skeleton) -> None:
        rows = joint_map(theirs, ours)
        self._to = torch.from_numpy(np.flatnonzero(rows >= 0))
        self._from = torch.from_numpy(rows[rows >= 0])
        self.same_joints = theirs.joints == ours.joints
        self.fresh_joints = [f"joint {ours.joints[k]}" for k in np.flatnonzero(rows < 0)]
        self.taken = 0
        self.fresh: list[str] = []

    def fitting(self, given: Weights, wanted: Weights) -> int:
        """How many of the wanted weights would be taken."""
        return sum(
            wanted[name].numel()
            for names in _layers(wanted)
            if self._fits(given, wanted, names)
            for name in names
        )

    @torch.no_grad()
    def lay(self, given: Weights, wanted: Weights, where: str) -> None:
        """Copy every layer that fits. wanted: the very weights of the new network."""
        fresh = []
        for names in _layers(wanted):
            if not self._fits(given, wanted, names):
                fresh.append(names[0].rpartition(".")[0])
                continue
            for name in names:
                self.taken += self._copy(given[name], wanted[name], name)
        self.fresh += _told(fresh, wanted, where)

    def _fits(self, given: Weights, wanted: Weights, names: list[str]) -> bool:
        return all(name in given and self._same(given[name], wanted[name], name) for name in names)

    def _same(self, given: Tensor, wanted: Tensor, name: str) -> bool:
        """Whether the shapes agree; joints may be others, if one is shared."""
        axis = _joint_axis(name)
        if axis is None or given.dim() != wanted.dim():
            return given.shape == wanted.shape
        sizes = list(given.shape)
        sizes[axis] = wanted.shape[axis]
        return len(self._to) > 0 and sizes == list(wanted.shape)

    def _copy(self, given: Tensor, wanted: Tensor, name: str) -> int:
        """How many weights were copied; statistics are none."""
        given, axis = given.to(wanted.device), _joint_axis(name)
        if axis is None:
            wanted.copy_(given)
        else:
            to, from_ = self._to.to(wanted.device), self._from.to(wanted.device)
            given = given.index_select(axis, from_)
            wanted.index_copy_(axis, to, given)
        return 0 if ".running_" in name else given.numel()


@torch.no_grad()
def measure_neutral(network: MultiBranch, crops: NDArray[np.uint8]) -> None:
    """Give normalisations that were folded away the statistics and scale that they had.

    Folding leaves x + bias of γ·(x − μ)/σ + β. In training, batch statistics would normalise that
    to variance 1 and what γ meant would be lost: so the mean m and variance v of what reaches
    each are measured on crops uint8 `[P, H, W, 3]`, and γ = √v, β = bias + m, μ = m, σ² = v. What
    the network says stays the same, and training starts from it.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and is_neutral(m)]
    if not norms:
        return
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def measure(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        variance, mean = torch.var_mean(inputs[0].float(), (0, 2, 3), correction=0)
        seen[norm] = mean, variance

    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    try:
        network.eval()
        device = next(network.parameters()).device
        network(torch.from_numpy(crops).to(device).permute(0, 3, 1, 2))
    finally:
        for hook in hooks:
            hook.remove()
    for norm, (mean, variance) in seen.items():
        assert isinstance(norm, nn.BatchNorm2d)
        norm.bias.add_(mean)
        norm.weight.copy_((variance + norm.eps).sqrt())
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def _layers(weights: Weights) -> list[list[str]]:
    """The names of weights and statistics, by the layer that they belong to."""
    layers: dict[str, list[str]] = {}
    for name, weight in weights.items():
        if weight.dtype.is_floating_point:  # a normalisation's counter is not
            layers.setdefault(name.rpartition(".")[0], []).append(name)
    return list(layers.values())


def _joint_axis(name: str) -> int | None:
    return next((axis for end, axis in _JOINT_AXIS.items() if name.endswith(f".{end}")), None)


def _told(fresh: list[str], wanted: Weights, where: str) -> list[str]:
    """The layers that begin anew; a whole stack of them by its number."""
    all_layers = [names[0].rpartition(".")[0] for names in _layers(wanted)]
    told: dict[str, None] = {}
    for layer in fresh:
        part = layer.split(".")[0]
        of_part = [other for other in all_layers if other.split(".")[0] == part]
        told[f"{where}.{part if set(of_part) <= set(fresh) else layer}"] = None
    return list(told)
