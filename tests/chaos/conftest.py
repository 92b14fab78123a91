"""Cases of chaos: each injects a fault, lets the jobs come to their end, and judges all records.

`make chaos` runs them and prints the table; `make test` does not (`norecursedirs`).
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "worker"))
from case import CONFIG, Case
from moments import MOMENTS
from table import Row, as_markdown, as_text, total
from twin import Twin, undisturbed

_BEGIN, _END = "<!-- {} -->\n", "<!-- end -->\n"
_rows: list[Row] = []
_failed: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stores",
        choices=["local", "servers"],
        default="local",
        help="local: SQLite, a folder, the embedded broker; servers: PostgreSQL, S3, a Valkey with "
        "a password",
    )
    parser.addoption("--table", type=Path, help="the document whose table is replaced")


@pytest.fixture(scope="session")
def config() -> dict[str, Any]:
    return CONFIG


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """What the distillation finds where nobody disturbs it."""
    return undisturbed(CONFIG, tmp_path_factory.mktemp("twin"))


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    """Leaves no process, however the case ends; its processes' logs are shown where it fails."""
    made = Case(request, tmp_path)
    yield made
    if made.installation is not None:
        made.installation.close()
        for log in made.installation.logs():
            text = log.read_text(errors="replace")
            sys.stderr.write(f"--- {log.name}\n{text[-8000:]}\n")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """With xdist, cases run in other processes: their rows come with their reports."""
    if report.when == "call":
        _rows.extend(Row(**row) for name, row in report.user_properties if name == "chaos")
    if report.failed:
        _failed.append(report.nodeid)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not _rows or hasattr(config, "workerinput"):  # xdist's processes know only their own
        return
    rows = sorted(_rows, key=_place)
    rows.append(total(rows, len(_failed)))
    terminalreporter.section("chaos")
    terminalreporter.write_line(as_text(rows))
    document: Path | None = config.getoption("--table")
    if document is not None and not _failed:
        text = document.read_text("utf-8")
        begin = _BEGIN.format(config.getoption("--stores"))
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(_END)
        document.write_text(before + begin + as_markdown(rows) + _END + after, "utf-8")


def _place(row: Row) -> tuple[str, str, int]:
    return (
        row.stores,
        row.fault.casefold(),
        MOMENTS.index(row.moment) if row.moment in MOMENTS else 0,
    )
