"""A real server with a real ONNX model that finds the brightest pixel: its answers are known."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
import uvicorn
from fastapi.testclient import TestClient
from onnx import TensorProto, helper, numpy_helper

from model.predictor import METADATA_KEY, Card
from model.skeletons import MPII16
from service.app import create_app
from service.jobs import hub
from service.launcher import _listen
from service.settings import ServiceSettings
from worker.stores import Stores, open_stores

SIZE = (64, 64)
_OKDHP = (sys.executable, "-m", "service.cli")
K = len(MPII16)


def write_brightest(path: Path, branch: str = "branch0", shift_px: float = 0.0) -> Path:
    """A student by the format of `model.export` that puts every joint on the brightest pixel.

    shift_px: what it adds to x, so that two students can be told apart.
    """
    H, W = SIZE

    def constant(name: str, value: object, dtype: type) -> None:
        initializers.append(numpy_helper.from_array(np.asarray(value, dtype), name))

    initializers: list[onnx.TensorProto] = []
    constant("mirrored", [], np.int64)
    constant("flat", [-1, H * W], np.int64)
    constant("channels", [3], np.int64)
    constant("width", W, np.int64)
    constant("shift", shift_px, np.float32)
    constant("joints", [1, K, 1], np.int64)
    constant("white", 255 * 3, np.float32)
    constant("last", [-1], np.int64)
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["pixels", "channels"], ["grey"], keepdims=0),
        helper.make_node("Reshape", ["grey", "flat"], ["cells"]),
        helper.make_node("ArgMax", ["cells"], ["cell"], axis=1, keepdims=1),
        helper.make_node("ReduceMax", ["cells", "last"], ["peak"], keepdims=1),
        helper.make_node("Div", ["peak", "white"], ["score"]),
        helper.make_node("Mod", ["cell", "width"], ["column"]),
        helper.make_node("Div", ["cell", "width"], ["row"]),
        helper.make_node("Cast", ["column"], ["x_plain"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x_plain", "shift"], ["x"]),
        helper.make_node("Cast", ["row"], ["y"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["x", "y", "score"], ["point"], axis=1),
        helper.make_node("Unsqueeze", ["point", "axis"], ["one"]),
        helper.make_node("Tile", ["one", "joints"], ["keypoints"]),
    ]
    constant("axis", [1], np.int64)
    graph = helper.make_graph(
        nodes,
        "brightest",
        [
            helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", H, W, 3]),
            helper.make_tensor_value_info("mirrored", TensorProto.INT64, ["F"]),
        ],
        [helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, ["N", K, 3])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    card = Card(
        branch=branch,
        skeleton=MPII16,
        size=SIZE,
        padding=0.0,
        run="test",
        data=("nothing",),
        licence="Apache-2.0",
    )
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, card.to_json()
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="session")
def brightest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The student's file."""
    return write_brightest(tmp_path_factory.mktemp("student") / "brightest.onnx")


@pytest.fixture(scope="session")
def write_student() -> Callable[..., Path]:
    """Writes a student of the test's own; see `write_brightest`."""
    return write_brightest


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ServiceSettings:
    """A home of its own, and a broker that is away: no job is taken by anybody."""
    folder = tmp_path_factory.mktemp("service")
    return ServiceSettings(
        home=folder / "home",
        data_dir=folder / "data",
        broker_url=f"redis+socket://{folder}/nobody.sock",
        registry_poll_s=0.05,
        max_image_bytes=2 * 1024**2,
    )


@pytest.fixture(scope="module")
def with_student(settings: ServiceSettings, brightest: Path) -> ServiceSettings:
    """The home, with version 1 of `glow` in production."""
    stores = open_stores(settings)
    _register(stores, brightest)
    stores.registry.promote("glow", 1, who="test")
    stores.close()
    return settings


@pytest.fixture(scope="module")
def client(with_student: ServiceSettings) -> Iterator[TestClient]:
    """The application, started and ready; an exception that escapes it fails the test."""
    with running(with_student) as client:
        yield client


@pytest.fixture(scope="module")
def url(settings: ServiceSettings) -> Iterator[str]:
    """Where a started application of this process listens: what memory alone cannot show.

    It looks often at the jobs that are followed: tests wait for it.
    """
    with pytest.MonkeyPatch.context() as patch, _listen("127.0.0.1", 0) as listener:
        patch.setattr(hub, "POLL_S", 0.05)
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def started() -> Callable[[ServiceSettings], AbstractContextManager[TestClient]]:
    """An application on settings of the test's own."""
    return running


@pytest.fixture
def add_student(with_student: ServiceSettings, tmp_path: Path) -> Callable[[str, float], int]:
    """Registers the next version of `glow`, whose answers lie so many crop pixels to the right."""

    def add(branch: str, shift_px: float) -> int:
        stores = open_stores(with_student)
        version = _register(stores, write_brightest(tmp_path / "next.onnx", branch, shift_px))
        stores.close()
        return version

    return add


def _register(stores: Stores, file: Path) -> int:
    card = json.loads(onnx.load(file).metadata_props[0].value)
    return stores.registry.add_version("glow", file, card, {"pck@0.2": 12.5}).version


@contextmanager
def running(settings: ServiceSettings) -> Iterator[TestClient]:
    """A started application whose model is loaded."""
    with TestClient(create_app(settings)) as client:
        until = time.monotonic() + 20
        while client.get("/readyz").status_code != 200 and time.monotonic() < until:
            time.sleep(0.01)
        yield client


class Server:
    """A real `okdhp serve`."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [*_OKDHP, "serve", "--home", str(home), "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # its own group, as a terminal would give it
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = self.wait_for(r"listens on (http://\S+)")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def wait_for(self, pattern: str, timeout_s: float = 60, after: int = 0) -> str:
        """The first group of the first line that matches."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            for line in self.lines[after:]:
                if match := re.search(pattern, line):
                    return match[1] if match.groups() else match[0]
            if self.process.poll() is not None and not self._reader.is_alive():
                break
            time.sleep(0.02)
        raise AssertionError(f"no line matches {pattern!r}:\n" + "\n".join(self.lines))

    def family(self) -> dict[int, str]:
        """Every living process below the server, with its command line."""
        return descendants(self.process.pid)

    def end(self, number: int = signal.SIGTERM, timeout_s: float = 30) -> int:
        """The exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(timeout_s)

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._reader.join()


def descendants(pid: int) -> dict[int, str]:
    """Processes that came from `pid`, by their ids, with their command lines."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        parents[int(folder.name)] = int(stat[1])
    found: dict[int, str] = {}
    level = {pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        found |= {child: command(child) for child in level}
    return found


def command(pid: int) -> str:
    """A living process's command line; empty for one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers on a home, and leaves none behind."""
    servers: list[Server] = []

    def start_server(home: Path, *arguments: str) -> Server:
        servers.append(Server(home, *arguments))
        return servers[-1]

    yield start_server
    for server in servers:
        server.close()
