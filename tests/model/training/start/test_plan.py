"""What a dry run foretells, against what happens."""

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from model.config import Config
from model.network.cost import student_cost
from model.skeletons import MPII16
from model.training.start.plan import memory_of, plan
from model.training.state.session import Session

CPU = torch.device("cpu")


class Living(TorchDispatchMode):
    """Counts the bytes of every tensor made under it that is still alive."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage() not in self._known:
                storage = tensor.untyped_storage()
                self._known.add(storage)
                self.bytes += storage.nbytes()
                weakref.finalize(storage, self._gone, storage.nbytes())
        return out

    def _gone(self, size: int) -> None:
        self.bytes -= size


def living(config: Config, people: int) -> int:
    """Bytes that are alive after the forward pass of a real session, its weights left out."""
    session = Session(config, MPII16, CPU)
    H, W = config.data.crop_px
    image = torch.zeros(people, 3, H, W).contiguous(memory_format=torch.channels_last)
    target, seen = torch.rand(people, 16, H // 4, W // 4), torch.ones(people, 16)
    with Living() as alive:
        losses = session.learner.scheme(session.learner.network(image), target, seen, 1.0)
        assert losses.total.requires_grad
        return alive.bytes


@pytest.mark.parametrize("people", [4, 32])
def test_activations_are_what_a_real_forward_pass_keeps(
    make_config: Callable[..., Config], people: int
) -> None:
    """They are foretold without computing anything; a tenth is maps that no gradient needs."""
    config = make_config("training.amp=fp32")

    foretold = memory_of(config, 16, people, None).activations

    assert foretold == pytest.approx(living(config, people), rel=0.1)


def test_half_precision_keeps_less(make_config: Callable[..., Config]) -> None:
    """Autocast's rules are followed, not guessed: losses stay in float32."""
    full = memory_of(make_config(), 16, 8, None).activations
    half = memory_of(make_config(), 16, 8, torch.bfloat16).activations

    assert 0.5 * full < half < 0.8 * full


def test_weights_take_four_bytes_and_adam_eight(make_config: Callable[..., Config]) -> None:
    """The averaged twin is counted where there is one."""
    config = make_config("training.ema_decay=0")
    session = Session(config, MPII16, CPU)
    parameters = sum(p.numel() for p in session.learner.parameters())

    memory = memory_of(config, 16, 4, None)

    assert (memory.weights, memory.gradients) == (4 * parameters, 4 * parameters)
    assert (memory.optimiser, memory.average) == (8 * parameters, 0)
    assert memory_of(make_config(), 16, 4, None).average == 4 * parameters


def test_steps_are_those_of_the_training(make_config: Callable[..., Config]) -> None:
    """Eleven people at four a step: an incomplete batch is left out."""
    config = make_config()

    found = plan(config, CPU)

    assert (found.train, found.valid) == (11, 4)
    assert (found.steps_per_epoch, found.steps) == (2, 10)
    assert found.notes == ()
    session = Session(config, MPII16, CPU)
    assert found.branches["nano"] == student_cost(session.learner.network, 1, (64, 48))
    assert found.whole.parameters == sum(p.numel() for p in session.learner.parameters())


def test_a_device_sees_its_part_of_the_batch(make_config: Callable[..., Config]) -> None:
    """Split over devices, and again to save memory."""
    config = make_config("training.batch_size=8", "training.devices=2", "training.accumulate=2")

    assert plan(config, CPU).at_once == 2


def test_missing_data_is_told_and_the_rest_is_planned(make_config: Callable[..., Config]) -> None:
    """The data may lie on the machine where it will be trained."""
    config = make_config("data.train=[{format: lsp, path: /nowhere, split: train}]")

    found = plan(config, CPU)

    assert (found.train, found.steps) == (None, None)
    assert found.valid == 4
    assert "data.train: " in found.notes[0]
    assert "joints.mat" in found.notes[0]
    assert found.whole.parameters > 0


def test_a_batch_size_left_to_the_device_is_told(make_config: Callable[..., Config]) -> None:
    """Then nobody knows the steps yet."""
    found = plan(make_config("training.batch_size=0"), CPU)

    assert found.steps is None
    assert any("batch_size 0" in note for note in found.notes)
