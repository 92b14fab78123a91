"""A job in a terminal: a bar of how far it is, and a table of its last epochs."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from service.cli.jobs.client import Event
from service.cli.progress import duration, epoch_line, losses, number

_ROWS: Final = 12


class JobDisplay:
    """Shows a job's events as they come.

    Without a terminal it prints a line for each step, epoch and file.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal
        self._epochs: deque[Mapping[str, Any]] = deque(maxlen=_ROWS)
        self._progress = Progress(
            TextColumn("{task.fields[state]}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%"),
            TextColumn("epoch {task.fields[epoch]}"),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("{task.fields[speed]} images/s"),
            TextColumn("{task.fields[left]} left"),
            console=console,
        )
        self._task = self._progress.add_task(
            "", total=None, state="…", epoch="…", loss="…", speed="…", left="…"
        )

    def follow(self, events: Iterable[Event]) -> Mapping[str, Any]:
        """Show events until `end`; what that says."""
        if not self._live:
            return self._followed(events, None)
        with Live(console=self._console, auto_refresh=True, refresh_per_second=4) as live:
            return self._followed(events, live)

    def notice(self, text: str) -> None:
        """A line for the person who watches."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _followed(self, events: Iterable[Event], live: Live | None) -> Mapping[str, Any]:
        for event in events:
            if event.kind == "end":
                return event.data
            self._show(event)
            if live is not None:
                live.update(Group(self._table(), self._progress.get_renderable()))
        raise AssertionError("a stream of events ends with `end`")

    def _show(self, event: Event) -> None:
        data = event.data
        match event.kind:
            case "state":
                self._progress.update(self._task, state=data["new"])
                self.notice(f"{data['at'][:19]} {data['new']}: {data['reason']}")
            case "metrics":
                self._epochs.append(data)
                if not self._live:
                    self.notice(epoch_line(data))
            case "artifact":
                self.notice(f"stored {data['name']} ({data['bytes']:,} bytes)")
            case "progress":
                self._progress.update(
                    self._task,
                    total=data.get("steps"),
                    completed=data.get("step", 0),
                    epoch=f"{data.get('epoch', '…')}/{data.get('epochs', '…')}",
                    loss=losses(data.get("loss") or {}),
                    speed=number(data.get("images_per_s")),
                    left=duration(data.get("seconds_left")),
                )

    def _table(self) -> Table:
        """The last epochs: a column for each branch with its first metric."""
        table = Table(box=None, pad_edge=False)
        if not self._epochs:
            return table
        scores = [_scores(epoch) for epoch in self._epochs]
        names = list(dict.fromkeys(name for row in scores for name in row))
        for heading in ("epoch", "loss", *names):
            table.add_column(heading, justify="right")
        for epoch, row in zip(self._epochs, scores, strict=True):
            loss = number((epoch.get("loss") or {}).get("total"))
            table.add_row(str(epoch["epoch"]), loss, *(row.get(name, "") for name in names))
        return table


def _scores(epoch: Mapping[str, Any]) -> dict[str, str]:
    """`{"branch0 pck@0.2": "41.2", …}`: of every branch and of the ensemble the first metric."""
    found = {**(epoch.get("branches") or {}), "ensemble": epoch.get("ensemble") or {}}
    return {
        f"{name} {metric}": f"{value:.1f}"
        for name, values in found.items()
        for metric, value in list(values.items())[:1]
        if value is not None
    }
