"""What one finished run of a comparison left, read without torch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import CheckpointUnusable
from model.receipt import Receipt, beside, read_receipt


@dataclass(frozen=True)
class Trained:
    """A finished run.

    students: the exported file of each branch. receipts: what stands beside it, if anything.
    history: an entry an epoch, as the run's events tell them. best_epoch: whose weights the
    students have; it was chosen on the selection people. training: what its steps took, as
    `model.training.state.clock` has it, and on which device; empty where an older program trained.
    """

    students: Mapping[str, Path]
    receipts: Mapping[str, Receipt]
    history: Sequence[dict[str, Any]]
    best_epoch: int
    training: Mapping[str, Any]

    def selection(self, branch: str, metric: str) -> float:
        """The branch's score on the selection people, with the weights that it is exported with."""
        return float(self._best["branches"][branch][metric])

    def best_of(self, branches: Sequence[str], metric: str) -> str:
        """Of several branches the one that did best on the selection people."""
        return max(branches, key=lambda branch: self.selection(branch, metric))

    @property
    def _best(self) -> dict[str, Any]:
        return next(entry for entry in self.history if entry["epoch"] == self.best_epoch)

    @property
    def device_s(self) -> float | None:
        """Seconds that the device spent on training steps; None where nobody noted them.

        Of a CPU its own seconds, which other programs beside do not lengthen; else those on the
        wall.
        """
        if not self.training:
            return None
        of_cpu = str(self.training["device"]).startswith("cpu")
        return float(self.training["cpu_seconds" if of_cpu else "seconds"])


def read_run(folder: Path) -> Trained:
    """A run's folder, once it has finished. Raises CheckpointUnusable, ReceiptUnusable."""
    try:
        metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
        lines = (folder / "events.jsonl").read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise CheckpointUnusable(f"{folder.name} holds no finished run: {error}") from None
    students = {
        branch: folder / "students" / shipped["file"]
        for branch, shipped in metrics["students"].items()
    }
    receipts = {branch: beside(file) for branch, file in students.items()}
    history = epochs_of(json.loads(line) for line in lines)
    return trained_of(metrics, history, students, receipts)


def trained_of(
    metrics: Mapping[str, Any],
    history: Sequence[dict[str, Any]],
    students: Mapping[str, Path],
    receipts: Mapping[str, Path],
) -> Trained:
    """A run whose files lie anywhere; receipts that are not there are left out."""
    return Trained(
        students=students,
        receipts={
            branch: read_receipt(path) for branch, path in receipts.items() if path.is_file()
        },
        history=history,
        best_epoch=int(metrics["best"]["epoch"]),
        training=metrics.get("training", {}),
    )


def finished(folder: Path) -> bool:
    """Whether the run in the folder has come to its end."""
    return (folder / "metrics.json").is_file()


def epochs_of(events: Any) -> list[dict[str, Any]]:
    """The entry of each epoch; of one that ran again after a resume its last."""
    last = {event["epoch"]: event for event in events if event["kind"] == "epoch"}
    return [last[epoch] for epoch in sorted(last)]
