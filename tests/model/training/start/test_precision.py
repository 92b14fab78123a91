"""Mixed precision where it pays, and the same to the end of a run."""

from pathlib import Path

import pytest
import torch

from model.skeletons import MPII16
from model.training.start import precision as module
from model.training.start.precision import precision
from model.training.state.session import Session

CPU = torch.device("cpu")


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_what_is_asked_for_is_taken(make_config, asked: str):
    """Whatever a measurement would say."""
    assert precision(make_config(f"training.amp={asked}"), CPU) == asked


@pytest.mark.parametrize(
    ("gain", "expected"), [(0.5, "fp32"), (1.0, "fp32"), (1.3, "fp32"), (1.9, "bf16")]
)
def test_bf16_is_taken_where_it_was_measured_to_be_faster(
    make_config, monkeypatch: pytest.MonkeyPatch, gain: float, expected: str
):
    """By more than what the rest of a step eats up."""
    monkeypatch.setattr(module, "_gain_of_bf16", lambda *_: gain)

    assert precision(make_config(), CPU) == expected


def test_a_device_is_measured_once(make_config):
    """And really: a run of small networks must not begin with a minute of trials."""
    module._gain_of_bf16.cache_clear()
    for seed in (1, 2, 3):
        precision(make_config(f"training.seed={seed}"), CPU)

    assert module._gain_of_bf16.cache_info().misses == 1


def test_a_run_goes_on_in_the_precision_that_it_began_with(make_config, tmp_path: Path):
    """A measurement on another machine, or on a busy one, must not change it half-way."""
    first, second = (Session(make_config(), MPII16, CPU) for _ in range(2))
    first.progress.amp, second.progress.amp = "bf16", "fp32"
    first.save(tmp_path / "last.pt")

    second.restore(tmp_path / "last.pt")

    assert second.progress.amp == "bf16"
    with second.autocast():
        assert torch.is_autocast_enabled("cpu")
