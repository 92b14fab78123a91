"""A run's events in a terminal, and what is left of them where there is none."""

import io
from typing import Any

from rich.console import Console

from service.cli.progress import RunDisplay

LOSS = {"total": 3.5, "label": 2.0, "ensemble": 1.0, "distill": 0.5}


def events() -> list[dict[str, Any]]:
    started = {
        "kind": "started",
        "device": "cpu",
        "epoch": 1,
        "epochs": 4,
        "steps_per_epoch": 10,
        "train_people": 1500,
        "valid_people": 100,
        "parameters": 12345,
    }
    progress = {
        "kind": "progress",
        "epoch": 2,
        "epochs": 4,
        "step": 15,
        "steps": 40,
        "loss": LOSS,
        "images_per_s": 81.25,
        "seconds_left": 3725.0,
    }
    epoch = {
        "kind": "epoch",
        "epoch": 2,
        "loss": LOSS,
        "branches": {"pico": {"pck@0.2": 41.25}, "nano": {"pck@0.2": 44.0}},
        "ensemble": {"pck@0.2": 45.5},
    }
    return [started, progress, epoch]


def shown(*, terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=140, color_system=None)
    with RunDisplay(console) as display:
        for event in events():
            display.show(event)
    return stream.getvalue()


def test_the_bar_shows_loss_parts_speed_and_time_left() -> None:
    """What a person looks at while waiting; a resumed run begins where it was."""
    text = shown(terminal=True)

    assert "epoch 2/4" in text
    assert "38%" in text
    assert "loss 3.5 (label 2, ensemble 1, distill 0.5)" in text
    assert "81.2 images/s" in text
    assert "1:02:05 left" in text


def test_without_a_terminal_there_is_a_line_an_epoch() -> None:
    """A log file is no place for a bar."""
    assert shown(terminal=False).splitlines() == [
        "1,500 people to learn from, 100 to judge on, on cpu",
        "epoch 2: loss 3.5 (label 2, ensemble 1, distill 0.5); "
        "pck@0.2 pico 41.2, nano 44.0, ensemble 45.5",
    ]


def test_an_epoch_that_was_not_judged_has_no_scores() -> None:
    """`evaluation.every_epochs` leaves some out."""
    stream = io.StringIO()
    with RunDisplay(Console(file=stream, width=140)) as display:
        display.show({"kind": "epoch", "epoch": 1, "loss": {"total": None}})

    assert stream.getvalue() == "epoch 1: loss …\n"
