"""`training.devices`: this process starts the others, hears and stops them, and tells their end."""

import json
import os
import pickle
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from model.errors import ConfigError, DatasetError, ProcessLost
from model.training.parallel.launch import _cause, _leave
from model.training.run import train


def after(steps: int) -> Callable[[], bool]:
    left = iter(range(steps))
    return lambda: next(left, None) is None


def test_two_devices_train_stop_and_are_gone_on_from_by_one(make_config, tmp_path: Path):
    """What they tell is heard here and written once; a stop reaches both at the same step."""
    told: list[dict[str, Any]] = []
    shape = ("network.depth=1", "training.epochs=400")
    config = make_config("training.devices=2", *shape)

    outcome = train(
        config,
        tmp_path,
        device="cpu",
        listen=told.append,
        stop=lambda: any(event["kind"] == "epoch" for event in told),
    )

    assert outcome.state == "stopped"
    written = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert told == written
    assert [event["seq"] for event in written] == list(range(1, len(written) + 1))
    assert next(e for e in written if e["kind"] == "started")["devices"] == 2
    state = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)
    assert 0 < len(state["progress"]["history"]) < 400
    assert state["progress"]["spent"]["images"] == 4 * state["progress"]["step"]

    alone = make_config(*shape)
    train(alone, tmp_path, resume=True, device="cpu", stop=after(3))

    gone_on = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)
    assert gone_on["progress"]["step"] == state["progress"]["step"] + 3


def test_an_error_of_a_rank_ends_the_training_as_its_own(make_config, tmp_path: Path):
    """Not as a stack trace of the launcher."""
    config = make_config(
        "training.devices=2", f"data.valid=[{{format: lsp, path: {tmp_path}/nowhere}}]"
    )

    with pytest.raises(DatasetError, match="nowhere"):
        train(config, tmp_path / "run", device="cpu")


def failure(exitcode: int) -> ChildFailedError:
    lost = ProcessFailure(local_rank=1, pid=os.getpid(), exitcode=exitcode, error_file="none")
    return ChildFailedError("train", {1: lost})


def test_what_a_user_can_act_on_comes_before_what_followed_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The others lose touch with the rank that failed, and may be the first to say so."""
    monkeypatch.setenv("RANK", "0")
    _leave(RuntimeError("connection closed by peer"), tmp_path)
    _leave(DatasetError("people.json", 3, "has no box"), tmp_path)
    _leave(ConfigError([]), tmp_path)

    cause = _cause(tmp_path, failure(1))

    assert isinstance(cause, DatasetError)
    assert cause.row == 3


def test_an_error_that_cannot_travel_leaves_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As those of libraries that hold on to something of their process."""

    class Tied(Exception):
        def __reduce__(self) -> str:
            raise pickle.PicklingError

    monkeypatch.setenv("RANK", "1")
    _leave(Tied("the cable is out"), tmp_path)

    assert str(_cause(tmp_path, failure(1))) == "Tied: the cable is out"


def test_a_rank_that_ends_without_a_word_is_named(tmp_path: Path):
    """Most often the kernel's out-of-memory killer."""
    cause = _cause(tmp_path, failure(-signal.SIGKILL))

    assert isinstance(cause, ProcessLost)
    assert str(cause) == ("process 1 of the training ended with signal 9, most often for memory")
