"""What is left to the device: the people of a step, and the epochs of a budget of its time."""

from pathlib import Path
from typing import Any

import pytest
import torch

from model.data.mixture import open_mixture
from model.data.packing import Pack, pack
from model.errors import ConfigError
from model.skeletons import MPII16
from model.training.parallel.group import ALONE
from model.training.run import train
from model.training.start.sizing import epochs_within, largest, settle, step_seconds, try_steps
from model.training.state.session import Session

CPU = torch.device("cpu")


class PowerCut(Exception):
    """What no code of ours expects."""


@pytest.fixture(scope="module")
def people(make_config) -> Pack:
    config = make_config()
    drawn = open_mixture(config.data.train, MPII16).people
    return pack(drawn, config.data.crop_px, config.data.padding, fingerprint="")


def fitted(config: Any, folder: Path, *, resume: bool = False) -> dict[str, Any]:
    """Trained to its last epoch; what it told before it was evaluated, and its checkpoint."""
    told: list[dict[str, Any]] = []

    def listen(event: dict[str, Any]) -> None:
        told.append(event)
        if event["kind"] == "evaluating":
            raise PowerCut

    with pytest.raises(PowerCut):
        train(config, folder, resume=resume, device="cpu", listen=listen)
    state = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    return {"told": told, **state}


@pytest.mark.parametrize(("room", "most", "expected"), [(7, 64, 6), (64, 64, 64), (64, 50, 48)])
def test_the_largest_batch_is_a_power_of_two_or_half_as_much_again(
    room: int, most: int, expected: int
):
    """Sizes that kernels like; nothing beyond the first that does not fit is tried."""
    tried = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= room

    assert largest(fits, most) == expected
    assert [size for size in tried if size > room] in ([], [tried[-1]])


def test_where_nothing_fits_the_largest_is_none():
    """The caller says what to do about it."""
    assert largest(lambda size: False, 64) == 0


def test_a_batch_size_of_the_devices_choice_needs_cuda(make_config, people: Pack):
    """A CPU's memory would take thousands, each step for minutes."""
    session = Session(make_config("training.batch_size=0"), MPII16, CPU)

    with pytest.raises(ConfigError) as caught:
        settle(session, people, ALONE)

    assert str(caught.value) == (
        "training.batch_size: 0 is chosen by the memory of a CUDA device, and this is cpu; "
        "accepted: 1 … 8192"
    )


def test_trying_steps_leaves_the_session_as_it_was(make_config, people: Pack):
    """Neither weights, step nor optimiser; more people than there are may be tried."""
    session = Session(make_config("training.accumulate=2"), MPII16, CPU)
    before = {name: value.clone() for name, value in session.learner.state_dict().items()}

    try_steps(session, people, 14)
    seconds = step_seconds(session, people, ALONE)

    assert 0 < seconds < 10
    assert session.progress.step == 0
    assert not session.optimizer.state
    after = session.learner.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_batch_size_that_was_chosen_stays_and_is_used(make_config, tmp_path: Path):
    """A run that goes on on a larger device is the same run."""
    config = make_config("training.batch_size=0")
    session = Session(config, MPII16, CPU)
    session.settle(batch_size=6)
    session.save(tmp_path / "last.pt")
    again = Session(config, MPII16, CPU)

    again.restore(tmp_path / "last.pt")

    assert again.config.training.batch_size == 6
    assert again.given.training.batch_size == 0


@pytest.mark.parametrize(("minutes", "expected"), [(1, 6), (0.01, 1), (1000, 14)])
def test_as_many_epochs_as_fit_but_one_at_least(minutes: float, expected: int):
    """Of ten seconds each, up to 14."""
    assert epochs_within(60 * minutes, 9.9, 14) == expected


def test_a_budget_of_time_shortens_the_run_and_changes_nothing_else(make_config, tmp_path: Path):
    """Schedules and ramp follow the epochs that fit, as if they had been asked for."""
    shape = ("optim.schedule=cosine", "scheme.ramp_epochs=null", "network.depth=1")
    asked = make_config("training.epochs=1", *shape)
    budget = make_config("training.epochs=900", "training.device_minutes=1e-6", *shape)

    plain, timed = fitted(asked, tmp_path / "plain"), fitted(budget, tmp_path / "timed")

    assert timed["progress"]["epochs"] == 1
    for part in ("learner", "average"):
        assert all(torch.equal(plain[part][name], timed[part][name]) for name in plain[part])
    assert [e["epochs"] for e in timed["told"] if e["kind"] == "started"] == [1]

    again = fitted(budget, tmp_path / "timed", resume=True)

    assert not any("fit into" in e.get("message", "") for e in again["told"])
    assert [e["epochs"] for e in again["told"] if e["kind"] == "started"] == [1]
    assert len(again["progress"]["history"]) == 1
