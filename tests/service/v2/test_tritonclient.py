"""Triton's own client against a real server: what it sends and expects is the protocol.

It stands in processes of its own: its event loop (gevent) is not one for pytest's process.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[3] / "docs/observability.md"


@pytest.fixture
def address(serve: Callable[..., Any], with_student: Any) -> str:
    """Of a server with `glow` in production."""
    server = serve(with_student.home, "--no-worker")
    server.wait_for(r"ready: model")
    url: str = server.url
    return url.removeprefix("http://")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_tritons_client_works(address: str) -> None:
    """Health, metadata, JSON and bytes each way, versions, and its words for what is wrong."""
    program = run(str(Path(__file__).with_name("tritons_client.py")), address)

    assert program.returncode == 0, program.stderr
    assert program.stderr == ""


def test_the_pages_example_works(address: str) -> None:
    """People copy it."""
    (example,) = re.findall(r"```python\n(import.*?)```", PAGE.read_text(), re.DOTALL)
    code = example.replace("localhost:8000", address).replace('"okdhp"', '"glow"')

    program = run("-c", code)

    assert program.returncode == 0, program.stderr
    assert program.stdout.startswith("right_ankle ")
    assert len(program.stdout.splitlines()) == 16
