"""What was injected and what came of it, as the table that `make chaos` prints."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

HEAD: Final = ("fault", "when", "stores", "injected", "jobs", "lost", "doubled", "take-over")


@dataclass(frozen=True)
class Row:
    """One case. take_over_s: the longest, None where no job had to be taken over."""

    fault: str
    moment: str
    stores: str
    injected: int
    jobs: int
    lost: int
    doubled: int
    take_over_s: float | None

    def cells(self) -> tuple[str, ...]:
        took = "–" if self.take_over_s is None else f"{self.take_over_s:.1f} s"
        numbers = (self.injected, self.jobs, self.lost, self.doubled)
        return (self.fault, self.moment, self.stores, *map(str, numbers), took)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def total(rows: Sequence[Row], failed: int) -> Row:
    """Of all cases; those that failed are named with it."""
    times = [row.take_over_s for row in rows if row.take_over_s is not None]
    return Row(
        "all",
        f"{len(rows)} cases" + (f", {failed} failed" if failed else ""),
        "",
        *(sum(getattr(row, name) for row in rows) for name in ("injected", "jobs", "lost")),
        sum(row.doubled for row in rows),
        max(times, default=None),
    )


def as_text(rows: Sequence[Row]) -> str:
    cells = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """With when and on what they ran."""
    lines = [HEAD, ("---",) * len(HEAD), *(row.cells() for row in rows)]
    day = datetime.now(UTC).date().isoformat()
    head = f"{day}, {os.cpu_count()} cores, Python {platform.python_version()}\n\n"
    return head + "".join(f"| {' | '.join(line)} |\n" for line in lines)
