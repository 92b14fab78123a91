"""What a training will cost, before it begins: size, memory and steps, from shapes and counts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from model.config import Config
from model.data.mixture import count_people, skeleton_of
from model.errors import DatasetError
from model.geometry import STRIDE
from model.network import MultiBranch
from model.network.cost import Cost, learner_cost, student_cost
from model.schemes import build_scheme
from model.training.start.precision import DTYPES, precision

PROBED = 8
"""People at once that memory is told for where the batch size is left to the device."""


@dataclass(frozen=True)
class Memory:
    """Bytes that a training keeps on each device.

    activations: what one forward pass keeps for the backward one. Beside all this the device holds
    its libraries, their working room and the batch itself. Measured on a CPU the peak of real steps
    was 1.2 times the total for `paper-mpii` with 128 channels (706 MB), 1.3 to 1.5 times for
    `bundled` (782 to 915 MB), 1.9 times for `tiny` (62 MB).
    """

    weights: int
    gradients: int
    optimiser: int
    average: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimiser + self.average + self.activations


@dataclass(frozen=True)
class Plan:
    """at_once: people that a device sees in one forward pass. train, valid: people, None where
    they could not be counted; steps likewise. notes: what stands in the way, a sentence each.
    """

    whole: Cost
    branches: Mapping[str, Cost]
    at_once: int
    memory: Memory
    train: int | None
    valid: int | None
    steps_per_epoch: int | None
    steps: int | None
    notes: tuple[str, ...]


def plan(config: Config, device: torch.device) -> Plan:
    """All of it. Raises DatasetError where the skeleton is to be the data's, and that is away."""
    skeleton = skeleton_of(config.data.skeleton, config.data.train)
    crop_px = config.data.crop_px
    network = MultiBranch(config.network, len(skeleton))
    scheme = build_scheme(config, len(skeleton))
    training = config.training
    notes = []
    at_once = math.ceil(training.batch_size / training.devices / training.accumulate)
    if not training.batch_size:
        at_once = PROBED
        notes.append("training.batch_size 0: the device's memory will choose it")

    counts: dict[str, int | None] = {}
    for part, sources in (("train", config.data.train), ("valid", config.data.valid)):
        try:
            counts[part] = sum(map(count_people, sources))
        except DatasetError as error:
            counts[part] = None
            notes.append(f"data.{part}: {error}")
    people = counts["train"]
    per_epoch = None
    if people and training.batch_size:
        per_epoch = people // min(training.batch_size, people)
    return Plan(
        whole=learner_cost(network, scheme, crop_px),
        branches=_deployed(config, network),
        at_once=at_once,
        memory=memory_of(config, len(skeleton), at_once, DTYPES[precision(config, device)]),
        train=people,
        valid=counts["valid"],
        steps_per_epoch=per_epoch,
        steps=per_epoch and per_epoch * training.epochs,
        notes=tuple(notes),
    )


def _deployed(config: Config, network: MultiBranch) -> dict[str, Cost]:
    """By branch. Branches of one make cost the same, and a deep one takes seconds to count."""
    makes = [(branch.stacks, branch.width) for branch in config.network.branches]
    costs = {
        make: student_cost(network, makes.index(make), config.data.crop_px) for make in set(makes)
    }
    return {name: costs[make] for name, make in zip(network.names, makes, strict=True)}


def memory_of(config: Config, joints: int, people: int, amp: torch.dtype | None) -> Memory:
    """Of one forward and backward pass with so many people at once. No number is computed."""
    H, W = config.data.crop_px
    kept: dict[int, torch.Tensor] = {}  # by storage: a view of what is kept costs nothing more

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    # Shapes and dtypes without numbers, as on a CPU: autocast has no rules for the meta device.
    with FakeTensorMode():
        network, scheme = MultiBranch(config.network, joints), build_scheme(config, joints)
        target = torch.empty(people, joints, H // STRIDE, W // STRIDE)
        seen = torch.empty(people, joints)
        with (
            torch.autocast("cpu", amp, enabled=amp is not None),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        ):
            scheme(network(torch.empty(people, 3, H, W)), target, seen, 1.0, target)
        learnt = [*network.parameters(), *scheme.parameters()]
        ours = {parameter.untyped_storage()._cdata for parameter in learnt}
        activations = sum(
            tensor.untyped_storage().nbytes() for key, tensor in kept.items() if key not in ours
        )
    parameters = sum(4 * parameter.numel() for parameter in learnt)  # float32
    return Memory(
        weights=parameters,
        gradients=parameters,
        optimiser=2 * parameters,  # Adam's two moments
        average=parameters if config.training.ema_decay else 0,
        activations=activations,
    )
