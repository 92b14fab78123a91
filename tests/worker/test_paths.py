"""No folder of the server is shown."""

from pathlib import Path

import pytest

from worker.paths import hidden

RUN = Path("/srv/okdhp/runs/7")
HOME = Path("/srv/okdhp")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/srv/okdhp/runs/7/log.txt is full", "log.txt is full"),
        ("cannot write '/srv/okdhp/runs/7'", "cannot write '.'"),
        ("in /srv/okdhp/data/lsp: row 3", "in data/lsp: row 3"),
        ("/srv/okdhp/runs/77/log.txt", "runs/77/log.txt"),
        ("/srv/okdhp-other/x", "/srv/okdhp-other/x"),
        ("http://host/srv/okdhp/x", "http://host/srv/okdhp/x"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_paths_become_relative(text: str, shown: str) -> None:
    """The longest folder first; words that only look like one stay."""
    assert hidden(text, [HOME, RUN]) == shown
