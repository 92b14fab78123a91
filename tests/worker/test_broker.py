"""The embedded Valkey server."""

import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis import Redis

from worker.broker import EmbeddedBroker


def client(broker: EmbeddedBroker) -> Redis:
    return Redis(unix_socket_path=broker.url.removeprefix("redis+socket://"))


def test_it_answers_on_a_socket_that_only_its_user_can_open(tmp_path: Path) -> None:
    """No port: another user of the machine must not read or post messages."""
    with EmbeddedBroker(tmp_path / "broker") as broker, client(broker) as asking:
        assert asking.ping()
        assert asking.config_get("port") == {"port": "0"}
        assert stat.S_IMODE((tmp_path / "broker").stat().st_mode) == 0o700
        socket = Path(broker.url.removeprefix("redis+socket://"))
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700

    assert broker.process.returncode == 0
    assert not socket.exists()


def test_a_deep_home_gets_a_socket_elsewhere(tmp_path: Path) -> None:
    """The kernel takes about a hundred bytes of a socket's path."""
    with EmbeddedBroker(tmp_path / ("deep" * 40)) as broker, client(broker) as asking:
        assert asking.ping()
        folder = Path(broker.url.removeprefix("redis+socket://")).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        url = broker.url
        broker.process.kill()
        broker.process.wait()
        broker.start()
        assert asking.ping()
        assert broker.url == url

    assert not folder.exists()


def test_it_starts_over_what_a_killed_one_left(tmp_path: Path) -> None:
    """A socket file stays behind; the next start takes its place."""
    broker = EmbeddedBroker(tmp_path / "broker").start()
    broker.process.kill()
    broker.process.wait()

    with EmbeddedBroker(tmp_path / "broker") as again, client(again) as asking:
        assert asking.ping()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux binds processes")
def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Also when that one is killed."""
    code = (
        "import sys, time; from pathlib import Path; from worker.broker import EmbeddedBroker;"
        "print(EmbeddedBroker(Path(sys.argv[1])).start().process.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "broker")], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())

    starter.kill()
    starter.communicate()

    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/stat").exists() and "valkey" in Path(f"/proc/{pid}/stat").read_text():
        if Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z":
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
