"""Children that end are started again, ever more patiently; the clock is the test's."""

import logging
import subprocess
import sys

import pytest

from service.children import LONGEST_PAUSE_S, STEADY_S, Kept, Process


class Starter:
    """Starts real processes and counts them."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.count = 0

    def __call__(self) -> Process:
        self.count += 1
        return subprocess.Popen([sys.executable, "-c", self.code], start_new_session=True)


def ended(child: Kept) -> None:
    """Waits for the real process, so that the test decides all other times."""
    assert child._process is not None
    child._process.wait(10)


def test_a_child_that_ends_is_started_again_after_a_pause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At once would be a busy loop where it cannot run at all."""
    start = Starter("raise SystemExit(3)")
    child = Kept("helper", start)
    child.look(0)
    ended(child)

    with caplog.at_level(logging.ERROR):
        child.look(0.5)
        child.look(1.0)
    assert start.count == 1
    child.look(1.5)

    assert start.count == 2
    assert "the helper ended (exit code 3); it is started again in 1 s" in caplog.text
    ended(child)


def test_pauses_grow_to_a_limit_and_shrink_after_a_steady_time() -> None:
    """A child that always fails costs little; one that failed once is back soon."""
    start = Starter("")
    child = Kept("helper", start)
    now = 0.0
    for pause in (1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S):
        before = start.count
        child.look(now)
        ended(child)
        child.look(now)
        child.look(now + pause - 0.1)
        assert start.count == before + 1
        now += pause

    child.look(now)
    ended(child)
    child.look(now + STEADY_S)
    child.look(now + STEADY_S + 1)

    assert start.count == 9
    ended(child)


def test_a_child_that_does_not_start_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """The server goes on without it meanwhile."""

    def fail() -> Process:
        raise OSError("no such program")

    child = Kept("helper", fail)
    with caplog.at_level(logging.ERROR):
        child.look(0)
        child.look(0.5)
        child.look(1)

    assert child.ended()
    assert caplog.text.count("no such program") == 2


def test_a_deaf_child_is_killed() -> None:
    """One that ignores TERM must not hold up the end for ever."""
    code = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    )

    def start() -> Process:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        process.stdout.readline()  # it ignores the signal from here on
        return process

    child = Kept("helper", start)
    child.look(0)
    child.ask_to_end()
    assert not child.ended()
    child.kill()

    assert child.ended()
