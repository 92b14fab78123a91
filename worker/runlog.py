"""The lines of a run's log as they appear, bounded: a chatty process cannot flood the database."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

LINE_CHARS: Final = 500
"""A longer line is cut."""
LINES: Final = 500
WINDOW_S: Final = 30.0
"""Of more lines within so long one line tells the number."""

_AT_ONCE: Final = 1 << 20
_LINE_BYTES: Final = 4 * LINE_CHARS  # UTF-8 takes no more
_COLOURS: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class LogFollower:
    """Gives the whole lines that were written to a log since the last time."""

    def __init__(
        self,
        path: Path,
        hide: Callable[[str], str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """From the present end of the log on. hide: takes out of a text what nobody should see."""
        self._path, self._hide, self._clock = path, hide, clock
        self._offset = path.stat().st_size if path.exists() else 0
        self._begun = b""  # a line whose end is not written yet
        self._left_out = 0
        self._room, self._since = LINES, clock()

    def read(self) -> list[str]:
        """New lines in order, for people to see; those of a long piece in several calls."""
        *whole, begun = (self._begun + self._piece()).split(b"\n")
        self._begun = begun[:_LINE_BYTES]
        return self._shown(whole)

    def rest(self) -> list[str]:
        """What is left once nobody writes any more, also a line that was not ended."""
        lines: list[str] = []
        while self._offset < self._path.stat().st_size:
            lines += self.read()
        lines += self._shown([self._begun] if self._begun else [])
        self._begun = b""
        return lines + self._told()

    def _piece(self) -> bytes:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            piece = file.read(_AT_ONCE)
        self._offset += len(piece)
        return piece

    def _shown(self, whole: list[bytes]) -> list[str]:
        """As many of the lines as have room, after a word on those that had none before."""
        told: list[str] = []
        if self._clock() - self._since >= WINDOW_S:
            self._room, self._since = LINES, self._clock()
            told = self._told()
        taken = whole[: self._room]
        self._room -= len(taken)
        self._left_out += len(whole) - len(taken)
        if not taken:
            return told
        text = self._hide("\n".join(_readable(line) for line in taken))
        return told + [_cut(line) for line in text.split("\n")]

    def _told(self) -> list[str]:
        left_out, self._left_out = self._left_out, 0
        return [f"… {left_out:,} lines left out"] if left_out else []


def _readable(line: bytes) -> str:
    """What a terminal would leave of the line, without its colours and other commands."""
    text = line[: _LINE_BYTES * 4].decode(errors="replace").rstrip("\r").rpartition("\r")[2]
    text = _COLOURS.sub("", text).replace("\t", "    ")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _cut(line: str) -> str:
    return line if len(line) <= LINE_CHARS else line[: LINE_CHARS - 1] + "…"
