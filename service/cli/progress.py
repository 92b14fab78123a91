"""A run's events in a terminal: a live bar with loss, speed and time left, a line an epoch."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn


class RunDisplay:
    """Shows the events of `model.training.events` as they come; a context manager.

    Without a terminal only the lines of epochs and messages are printed.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%"),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("{task.fields[speed]} images/s"),
            TextColumn("{task.fields[left]} left"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None

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

    def show(self, event: Mapping[str, Any]) -> None:
        """One event; kinds that say nothing to a person are passed over."""
        match event["kind"]:
            case "started":
                self._say(
                    f"{event['train_people']:,} people to learn from, "
                    f"{event['valid_people']:,} to judge on, on {event['device']}"
                )
                self._task = self._progress.add_task(
                    "",
                    total=event["epochs"] * event["steps_per_epoch"],
                    completed=event["epoch"] * event["steps_per_epoch"],
                    epoch=event["epoch"] + 1,
                    epochs=event["epochs"],
                    loss="…",
                    speed="…",
                    left="…",
                )
            case "progress" if self._task is not None:
                self._progress.update(
                    self._task,
                    completed=event["step"],
                    epoch=event["epoch"],
                    loss=losses(event["loss"]),
                    speed=number(event["images_per_s"]),
                    left=duration(event["seconds_left"]),
                )
            case "epoch":
                self._say(epoch_line(event))
            case "evaluating":
                self._say("evaluating and exporting")
            case "artifact" | "picture":
                self._say(f"wrote {event['path']}")
            case "log":
                self._say(event["message"])

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def epoch_line(event: Mapping[str, Any]) -> str:
    """`epoch 3: loss 1.23 (…); pck@0.2 branch0 41.2, branch1 40.8, ensemble 42.0`."""
    line = f"epoch {event['epoch']}: loss {losses(event['loss'])}"
    scores = {**event.get("branches", {}), "ensemble": event.get("ensemble") or {}}
    metric = next((name for values in scores.values() for name in values), None)
    if metric is None:
        return line
    shown = ", ".join(
        f"{name} {values[metric]:.1f}" for name, values in scores.items() if metric in values
    )
    return f"{line}; {metric} {shown}"


def losses(loss: Mapping[str, float | None]) -> str:
    parts = ", ".join(f"{name} {number(v)}" for name, v in loss.items() if name != "total")
    total = number(loss.get("total"))
    return f"{total} ({parts})" if parts else total


def number(value: float | None) -> str:
    """Three digits; `…` for what is not known yet."""
    return "…" if value is None else f"{value:.3g}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "…"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
