"""A training that nobody disturbs, in the same child process: what disturbed ones must find."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model.config import load_config
from model.cores import cores
from worker.local import LocalJob, LocalJobs

TIMES: Final = ("seconds", "data_s", "images_per_s")
FOUND: Final = ("best", "valid", "calibration")
"""Of the final metrics these depend on nothing but configuration and data; the rest are times,
and files that hold the run's name."""


@dataclass(frozen=True)
class Twin:
    """history: an entry an epoch, result: the final metrics, both without times."""

    history: list[dict[str, Any]]
    result: dict[str, Any]


def undisturbed(config: Mapping[str, Any], folder: Path) -> Twin:
    """Trains it to its end."""
    events: list[dict[str, Any]] = []
    job = LocalJob("twin", "distill", load_config(config).model_dump(mode="json"))
    # At once as many as there are cores would run: one thread each, as the installation's children.
    failures = LocalJobs(folder, at_once=cores(), device="cpu").run(
        [job], stop=lambda: False, listen=lambda name, event: events.append(event)
    )
    assert not failures, failures
    epochs = [event for event in events if event["kind"] == "epoch"]
    (finished,) = (event for event in events if event["kind"] == "finished")
    return Twin(history_of(epochs), comparable(finished["metrics"]))


def history_of(epochs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The epochs without what no two runs share."""
    without = {*TIMES, "seq", "time", "kind"}
    return [{k: v for k, v in entry.items() if k not in without} for entry in epochs]


def comparable(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: metrics.get(name) for name in FOUND}
