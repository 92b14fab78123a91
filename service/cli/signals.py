"""Ctrl-C and TERM, noted instead of obeyed, for work that saves itself first."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

STOPPED: Final = 128
"""Exit status, and the signal's number on top, as shells have it."""


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """The numbers of the signals that came; the second one interrupts at once."""
    caught: list[int] = []

    def note(number: int, frame: object) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    before: list[tuple[int, Callable[..., Any] | int | None]] = [
        (number, signal.signal(number, note)) for number in (signal.SIGINT, signal.SIGTERM)
    ]
    try:
        yield caught
    finally:
        for number, handler in before:
            signal.signal(number, handler)
