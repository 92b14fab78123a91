"""`training.compile`: faster calls, the same network."""

import pytest
import torch
from torch import nn

from model.data.mixture import open_mixture
from model.data.packing import pack
from model.skeletons import MPII16
from model.training.start.compiling import compile_in_place
from model.training.state.session import Session
from model.training.step import Step

CPU = torch.device("cpu")


def test_a_compiled_network_learns_the_same_under_the_same_names(make_config):
    """Traced, but run as it is: building C++ of it takes a minute and no other way."""
    config = make_config("network.depth=1", "network.branches=[{}]", "training.amp=fp32")
    plain, compiled = (Session(config, MPII16, CPU) for _ in range(2))
    people = open_mixture(config.data.train, MPII16).people[:4]
    packed = pack(people, config.data.crop_px, config.data.padding, fingerprint="")
    pixels, joints = (torch.from_numpy(values) for values in (packed.pixels, packed.joints))

    told = compile_in_place(compiled.learner.network, CPU, backend="eager")
    losses = [
        Step(session)(pixels, joints, people=4, lr=1e-3, ramp=1.0) for session in (plain, compiled)
    ]

    assert told == ""
    assert compiled.learner.network._compiled_call_impl is not None
    assert losses[0] == pytest.approx(losses[1])
    ours, theirs = plain.learner.state_dict(), compiled.learner.state_dict()
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        torch.testing.assert_close(theirs[name], weight)


def test_without_a_compiler_the_training_goes_on_without_it():
    """And says so: an image for inference has none."""
    network = nn.Linear(2, 2)

    told = compile_in_place(network, CPU, backend="nowhere")

    assert told.startswith("training.compile is left out: Invalid backend: 'nowhere'")
    assert network._compiled_call_impl is None
    assert network(torch.ones(1, 2)).shape == (1, 2)
