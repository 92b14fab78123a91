"""A comparison's runs in a terminal: a bar a run that is at work, one for all, a line an event."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from model.comparison.table import columns_of, heading
from service.cli.progress import duration

_DONE: Final = 1.0
_UNFOLDED: Final = 160
"""Characters a line in a file, where no terminal folds them."""


class CompareDisplay:
    """Shows what `worker.local` tells; a context manager.

    Without a terminal only lines are printed: what begins, each epoch's best, what has ended.
    """

    def __init__(self, names: Sequence[str], console: Console | None = None) -> None:
        """names: of the runs that are still to do, all of about one length."""
        self._shares = dict.fromkeys(names, 0.0)  # of each run, how much is done
        self._began_s = time.monotonic()
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.fields[name]:<24}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%"),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._all = self._progress.add_task("", total=len(names), name="all runs", note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, name: str, event: Mapping[str, Any]) -> None:
        """One event of one run."""
        match event["kind"]:
            case "started":
                self._say(f"{name}: {event['train_people']:,} people, on {event['device']}")
                # What an earlier attempt did took none of our time.
                self._tasks[name] = self._progress.add_task("", total=_DONE, name=name, note="")
            case "progress" if name in self._tasks:
                left = duration(event["seconds_left"])
                note = f"epoch {event['epoch']}/{event['epochs']}, {left} left"
                self._shares[name] = event["step"] / event["steps"]
                self._progress.update(self._tasks[name], completed=self._shares[name], note=note)
            case "epoch":
                self._say(_epoch_line(name, event))
            case "ended":
                failure = event["failure"]
                self._shares[name] = _DONE
                if name in self._tasks:
                    self._progress.remove_task(self._tasks.pop(name))
                ended = sum(share == _DONE for share in self._shares.values())
                how = "finished" if failure is None else f"{failure.reason}: {failure.message}"
                self._say(f"{name}: {how} ({ended} of {len(self._shares)})")
        done = sum(self._shares.values())
        self._progress.update(self._all, completed=done, note=self._left(done))

    def _left(self, done: float) -> str:
        """As long as the rest takes at the speed so far."""
        if not done:
            return ""
        taken_s = time.monotonic() - self._began_s
        return f"{duration(taken_s / done * (len(self._shares) - done))} left"

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _epoch_line(name: str, event: Mapping[str, Any]) -> str:
    """`okdhp-s0: epoch 3, pck@0.2 branch0 41.2, branch1 40.8`."""
    branches = event.get("branches", {})
    metric = next((metric for scores in branches.values() for metric in scores), None)
    if metric is None:
        return f"{name}: epoch {event['epoch']}"
    shown = ", ".join(f"{branch} {scores[metric]:.1f}" for branch, scores in branches.items())
    return f"{name}: epoch {event['epoch']}, {metric} {shown}"


def print_tables(found: Mapping[str, Any], console: Console | None = None) -> None:
    """What a comparison found: for each set of people a table, and one of its joints."""
    console = console or Console()
    if not console.is_terminal:
        console.width = _UNFOLDED
    for set_ in found["protocol"]["reported"]:
        name = set_["name"]
        columns = columns_of(found, name)
        groups = list(found["lines"][0]["sets"][name]["groups"])
        title = heading(found["protocol"], set_).removeprefix("## ")
        main = {key: cells for key, cells in columns.items() if key not in groups}
        joints = {key: columns[key] for key in ("scheme", "student", *groups)}
        console.print(_table(title, main))
        console.print(_table(f"{title}, by joints", joints))
    for cell in found["cells"]:
        if "missing" in cell:
            console.print(f"missing: {cell['name']}: {cell['missing']}", markup=False)


def _table(title: str, columns: Mapping[str, Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for at, name in enumerate(columns):
        table.add_column(name, justify="right" if at else "left")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(_bold(cell) for cell in row))
    return table


def _bold(cell: str) -> str:
    """Markdown's bold as rich's."""
    return f"[bold]{cell.strip('*')}[/bold]" if cell.startswith("**") else cell
