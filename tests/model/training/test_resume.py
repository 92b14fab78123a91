"""N + N epochs are 2N, to the bit, however the first part ended."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from model.config import Config
from model.data.mixture import open_mixture
from model.data.packing import pack
from model.skeletons import MPII16
from model.training.events import FINISH, EventFollower
from model.training.loop import Loop
from model.training.run import train
from model.training.state.session import Session

STEPS = 8  # four epochs of two steps, of five epochs: what is after them is not reached
CLOCK = ("images_per_s", "seconds", "data_s")


class PowerCut(Exception):
    """What no code of ours expects."""


def after(steps: int, do: Callable[[], bool] = lambda: True) -> Callable[[], bool]:
    """A `stop` that lets so many steps pass."""
    left = iter(range(steps))
    return lambda: next(left, None) is None and do()


def cut_power() -> bool:
    raise PowerCut


def checkpoint(folder: Path) -> dict[str, Any]:
    """`last.pt` without what a clock says."""
    state = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    assert state["progress"].pop("run_s") >= 0
    for clock in ("spent", "epoch_spent"):
        assert state["progress"].pop(clock)["seconds"] >= 0
    for entry in state["progress"]["history"]:
        for key in CLOCK:
            entry.pop(key)
    return state


def assert_same(a: object, b: object, where: str = "checkpoint") -> None:
    """Equal to the bit, all the way down."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert isinstance(b, dict)
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert isinstance(b, list | tuple)
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{i}]")
    elif isinstance(a, torch.Tensor):
        assert isinstance(b, torch.Tensor)
        assert torch.equal(a, b), where
    else:
        assert a == b, where


@pytest.fixture(scope="module")
def config(make_config) -> Config:
    """A cosine, a ramp, averaged weights and every augmentation: all that must be restored."""
    return make_config(
        "optim.schedule=cosine",
        "optim.warmup_epochs=0.5",
        "scheme.ramp_epochs=3",
        "augment.half_body=0.3",
        "augment.shift=0.1",
    )


@pytest.fixture(scope="module")
def uninterrupted(config: Config, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    outcome = train(config, folder, stop=after(STEPS), device="cpu")
    assert outcome.state == "stopped"
    return checkpoint(folder)


@pytest.mark.parametrize("first", [4, 3, 1, 0], ids=lambda n: f"{n} steps")
def test_stopped_and_resumed_is_as_if_it_had_never_stopped(
    first: int, config: Config, uninterrupted: dict[str, Any], tmp_path: Path
):
    """Weights, EMA, optimiser, history: after whole epochs, within one, before the first step."""
    stopped = train(config, tmp_path, stop=after(first), device="cpu")
    train(config, tmp_path, stop=after(STEPS - first), resume=True, device="cpu")

    assert stopped.state == "stopped"
    assert_same(checkpoint(tmp_path), uninterrupted)


def test_many_stops_are_as_none(config: Config, uninterrupted: dict[str, Any], tmp_path: Path):
    """One step a session."""
    for step in range(STEPS):
        train(config, tmp_path, stop=after(1), resume=step > 0, device="cpu")

    assert_same(checkpoint(tmp_path), uninterrupted)


def test_a_power_cut_costs_only_what_came_after_the_last_checkpoint(
    config: Config, uninterrupted: dict[str, Any], tmp_path: Path
):
    """Killed in the third epoch: the first two are not trained again, and nothing shows of it."""
    with pytest.raises(PowerCut):
        train(config, tmp_path, stop=after(5, cut_power), device="cpu")
    assert len(checkpoint(tmp_path)["progress"]["history"]) == 2

    train(config, tmp_path, stop=after(STEPS - 4), resume=True, device="cpu")

    assert_same(checkpoint(tmp_path), uninterrupted)


def cut_at_the_end(event: dict[str, Any]) -> None:
    """What is exported is tested elsewhere, and takes long."""
    if event["kind"] == "evaluating":
        raise PowerCut


def test_a_training_that_is_told_to_finish_ends_and_can_go_on(
    config: Config, uninterrupted: dict[str, Any], tmp_path: Path
):
    """Within its third epoch: it goes to its evaluation, and no step is trained twice later."""

    def tell() -> bool:
        (tmp_path / FINISH).touch()
        return False

    with pytest.raises(PowerCut):
        train(config, tmp_path, stop=after(5, tell), device="cpu", listen=cut_at_the_end)
    events = EventFollower(tmp_path).read()
    (tmp_path / FINISH).unlink()
    train(config, tmp_path, stop=after(STEPS - 5), resume=True, device="cpu")

    assert [event["epoch"] for event in events if event["kind"] == "stopped"] == [2]
    assert_same(checkpoint(tmp_path), uninterrupted)


def test_a_training_finishes_no_sooner_than_it_has_something_to_show(
    config: Config, tmp_path: Path
):
    """As one that begins anew on another host, after somebody asked it to finish."""
    (tmp_path / FINISH).touch()

    with pytest.raises(PowerCut):
        train(config, tmp_path, device="cpu", listen=cut_at_the_end)

    assert len(checkpoint(tmp_path)["progress"]["history"]) == 1


def test_who_is_told_to_finish_and_to_end_saves_and_ends(config: Config, tmp_path: Path):
    """A host that goes down has no time for an evaluation."""
    (tmp_path / FINISH).touch()

    assert train(config, tmp_path, stop=after(3), device="cpu").state == "stopped"


def test_a_long_epoch_is_saved_on_its_way(
    make_config, config: Config, uninterrupted: dict[str, Any], tmp_path: Path
):
    """`checkpoint_s`: on a large set an epoch is longer than anybody wants to lose."""
    hasty = config.model_copy(
        update={"training": config.training.model_copy(update={"checkpoint_s": 1e-6})}
    )
    with pytest.raises(PowerCut):
        train(hasty, tmp_path, stop=after(5, cut_power), device="cpu")
    assert checkpoint(tmp_path)["progress"]["step"] == 5

    train(config, tmp_path, stop=after(STEPS - 5), resume=True, device="cpu")

    assert_same(checkpoint(tmp_path), uninterrupted)


def test_a_cut_before_the_first_checkpoint_starts_anew(
    config: Config, uninterrupted: dict[str, Any], tmp_path: Path
):
    """There is nothing to restore, and nothing to complain of."""
    with pytest.raises(PowerCut):
        train(config, tmp_path, stop=after(1, cut_power), device="cpu")

    train(config, tmp_path, stop=after(STEPS), resume=True, device="cpu")

    assert_same(checkpoint(tmp_path), uninterrupted)


def test_more_epochs_go_on_where_fewer_ended(make_config, tmp_path: Path):
    """Two epochs asked for, then four: with steps for a schedule, the same as four at once."""
    people = open_mixture(make_config().data.train, MPII16)

    def trained(epochs: int, path: Path | None = None) -> Session:
        config = make_config(f"training.epochs={epochs}", "scheme.ramp_epochs=60")
        session = Session(config, MPII16, torch.device("cpu"))
        if path is not None:
            session.restore(path)
        packed = pack(people.people, config.data.crop_px, config.data.padding, fingerprint="")
        loop = Loop(
            session, packed, stop=lambda: False, report=lambda _: None, checkpoint=lambda: None
        )
        for _ in loop.epochs():
            pass
        return session

    trained(2).save(tmp_path / "two.pt")
    two_and_two, four = trained(4, tmp_path / "two.pt"), trained(4)

    assert two_and_two.progress.step == four.progress.step == 8
    assert_same(two_and_two.learner.state_dict(), four.learner.state_dict())
    assert_same(two_and_two.optimizer.state_dict(), four.optimizer.state_dict())


def test_another_seed_is_another_training(
    config: Config, uninterrupted: dict[str, Any], tmp_path: Path
):
    """The bit-for-bit tests would pass on a training that ignores everything."""
    other = config.model_copy(update={"training": config.training.model_copy(update={"seed": 1})})

    train(other, tmp_path, stop=after(STEPS), device="cpu")

    theirs = checkpoint(tmp_path)
    changed = [
        name
        for name, value in uninterrupted["learner"].items()
        if not torch.equal(value, theirs["learner"][name])
    ]
    assert len(changed) > len(theirs["learner"]) / 2
