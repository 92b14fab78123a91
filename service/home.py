"""One server to a home folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import PoseError


class LaunchRefused(PoseError):
    """The server cannot start as it was asked to."""


@contextmanager
def held_home(home: Path) -> Iterator[None]:
    """Holds the folder, made if need be, against a second server; the kernel frees it with us.

    Raises LaunchRefused, naming the process that holds it.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (home / "lock").open("a+")
    except OSError as error:
        raise LaunchRefused(f"the home folder {home} cannot be used: {error.strerror}") from None
    with file:  # children do not inherit it, so that they cannot hold the home when we are gone
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            raise LaunchRefused(
                f"another server (process {holder}) uses the home folder {home}; "
                "stop it, or choose another with --home"
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
