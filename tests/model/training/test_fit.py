"""How a run ends, and which of its checkpoints stay."""

from pathlib import Path
from typing import Any

import pytest
import torch

from model.config import Config
from model.training.run import train
from model.training.state.keeping import best, latest, prune


class PowerCut(Exception):
    """What no code of ours expects."""


def fitted(config: Config, folder: Path, *, resume: bool = False) -> list[dict[str, Any]]:
    """Trained up to its evaluation; what it told."""
    told: list[dict[str, Any]] = []

    def listen(event: dict[str, Any]) -> None:
        told.append(event)
        if event["kind"] == "evaluating":
            raise PowerCut

    with pytest.raises(PowerCut):
        train(config, folder, resume=resume, device="cpu", listen=listen)
    return told


def names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "checkpoints").iterdir()}


# Time


def test_a_run_ends_after_the_epoch_in_which_its_hours_are_over(make_config, tmp_path: Path):
    """Judged and evaluated as any run; going on with it trains nothing more."""
    config = make_config("training.max_hours=1e-9", "evaluation.every_epochs=3", "network.depth=1")

    told = fitted(config, tmp_path)
    again = fitted(config, tmp_path, resume=True)

    epochs = [event for event in told if event["kind"] == "epoch"]
    assert [event["epoch"] for event in epochs] == [1]
    assert "branches" in epochs[0]
    assert "training.max_hours 1e-09 have passed" in [event.get("message") for event in told]
    assert not [event for event in again if event["kind"] == "epoch"]


def test_hours_are_counted_through_resumes(make_config, tmp_path: Path):
    """What passed before a stop has passed; a longer limit goes on."""
    shape = ("network.depth=1", "training.epochs=3")
    stops = iter([False, False, False, True])
    train(make_config(*shape), tmp_path, device="cpu", stop=lambda: next(stops, True))
    before = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)["progress"]
    assert before["run_s"] > before["spent"]["seconds"] > 0

    hours = before["run_s"] / 3600
    told = fitted(make_config(*shape, f"training.max_hours={hours}"), tmp_path, resume=True)

    assert not [event for event in told if event["kind"] == "epoch"]
    assert fitted(make_config(*shape, "training.max_hours=1"), tmp_path, resume=True)
    after = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)["progress"]
    assert len(after["history"]) == 3
    assert after["run_s"] > before["run_s"]


# What is kept


def test_the_last_and_the_best_epochs_stay_beside_the_newest_and_the_best(
    make_config, tmp_path: Path
):
    """Named by epoch; those that fell behind are gone, and nobody else's file is."""
    config = make_config(
        "training.epochs=5", "training.keep_last=2", "training.keep_best=2", "network.depth=1"
    )
    mine = tmp_path / "checkpoints" / "last-night.pt"
    mine.parent.mkdir()
    mine.write_text("of the user's own")

    told = fitted(config, tmp_path)

    scores = {
        event["epoch"]: max(values["pck@0.2"] for values in event["branches"].values())
        for event in told
        if event["kind"] == "epoch"
    }
    first, second = sorted(scores, key=lambda epoch: -scores[epoch])[:2]
    kept = {"last-0004.pt", "last-0005.pt", f"best-{first:04}.pt", f"best-{second:04}.pt"}
    assert names(tmp_path) == {"last.pt", "best.pt", "last-night.pt"} | kept

    def read(name: str) -> bytes:
        return (tmp_path / "checkpoints" / name).read_bytes()

    assert read("last-0005.pt") == read("last.pt") != read("last-0004.pt")
    assert read(f"best-{first:04}.pt") == read("best.pt") != read(f"best-{second:04}.pt")
    assert mine.read_text() == "of the user's own"


def test_by_default_the_newest_and_the_best_are_enough(make_config, tmp_path: Path):
    """A folder of hundreds of epochs would fill a disk that nobody looks at."""
    fitted(make_config("training.epochs=2", "network.depth=1"), tmp_path)

    assert names(tmp_path) == {"last.pt", "best.pt"}


def test_fewer_are_kept_when_fewer_are_asked_for(tmp_path: Path):
    """Also of an earlier start that kept more; a file that is no epoch's is left alone."""
    for name in ("last.pt", "last-0001.pt", "last-0002.pt", "last-x.pt", "best-0001.pt"):
        (tmp_path / name).touch()

    prune(tmp_path / "last.pt", {2})

    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"last.pt", "last-0002.pt", "last-x.pt", "best-0001.pt"}


def test_which_epochs_are_the_last_and_the_best():
    """Where two scored alike the earlier one; epochs that were not judged are never the best."""
    history = [
        {"epoch": 1, "branches": {"a": {"pck": 3.0}, "b": {"pck": 5.0}}},
        {"epoch": 2},
        {"epoch": 3, "branches": {"a": {"pck": 6.0}, "b": {"pck": 1.0}}},
        {"epoch": 4, "branches": {"a": {"pck": 5.0}, "b": {"pck": 5.0}}},
    ]

    assert best(history, "pck", 2) == [3, 1]
    assert best(history, "pck", 1) == []
    assert list(latest(4, 3)) == [2, 3, 4]
    assert list(latest(1, 3)) == [1]
    assert list(latest(4, 1)) == []
