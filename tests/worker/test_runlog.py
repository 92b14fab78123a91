"""A run's log as its followers see it: every line once, and never more than a person can read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.runlog import LINE_CHARS, LINES, WINDOW_S, LogFollower


class Clock:
    """Time that passes when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.txt"


def write(log: Path, text: str) -> None:
    with log.open("ab") as file:
        file.write(text.encode())


def plain(text: str) -> str:
    return text


def test_an_earlier_attempt_s_lines_are_not_told_again(log: Path) -> None:
    """The file of a run that goes on has them already."""
    write(log, "old\n")
    follower = LogFollower(log, plain)

    write(log, "new\n")

    assert follower.read() == ["new"]


@given(st.lists(st.integers(1, 12)))
def test_lines_are_whole_however_they_are_written(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    """A writer's buffer ends anywhere, also within a character."""
    log = tmp_path_factory.mktemp("run") / "log.txt"
    text = "erste\nzweite größer\n\n→ dritte\nohne Ende"
    data = text.encode()
    follower = LogFollower(log, plain)
    log.touch()
    seen: list[str] = []

    for size in cuts:
        with log.open("ab") as file:
            file.write(data[:size])
        data = data[size:]
        seen += follower.read()
    with log.open("ab") as file:
        file.write(data)
    seen += follower.rest()

    assert seen == text.split("\n")


def test_a_chatty_process_is_cut_short_and_the_rest_is_counted(log: Path) -> None:
    """A loop that prints would fill the database within the hour."""
    clock = Clock()
    log.touch()
    follower = LogFollower(log, plain, clock=clock)
    write(log, "".join(f"{n}\n" for n in range(1, 100_001)))

    first = [line for _ in range(3) for line in follower.read()]
    clock.now += WINDOW_S
    later = follower.read()
    write(log, "after\n")

    assert first == [str(n) for n in range(1, LINES + 1)]
    assert later == [f"… {100_000 - LINES:,} lines left out"]
    assert follower.rest() == ["after"]


def test_what_was_left_out_at_the_end_is_told(log: Path) -> None:
    """A run that ends within the window leaves no hole in silence."""
    log.touch()
    follower = LogFollower(log, plain, clock=Clock())
    write(log, "x\n" * (LINES + 3) + "end")

    assert follower.rest() == ["x"] * LINES + ["… 4 lines left out"]


def test_lines_are_cut_and_read_as_on_a_terminal(log: Path) -> None:
    """A line of a megabyte, a progress bar, colours and a bell."""
    log.touch()
    follower = LogFollower(log, plain)
    write(log, "y" * 3_000_000 + "\n10 %\r100 %\r\n\x1b[31mred\x1b[0m\tbell\a\x00\n")

    lines = follower.rest()

    assert lines == ["y" * (LINE_CHARS - 1) + "…", "100 %", "red    bell��"]


def test_what_nobody_should_see_is_hidden_before_a_line_is_cut(log: Path) -> None:
    """Half a path would tell half of it."""
    log.touch()
    follower = LogFollower(log, lambda text: text.replace("/secret/home/", ""))
    write(log, "z" * (LINE_CHARS - 8) + "/secret/home/a.jpg\n")

    assert follower.read() == ["z" * (LINE_CHARS - 8) + "a.jpg"]
