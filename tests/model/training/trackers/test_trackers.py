"""Trackers beside a run: what they are told, and that none of them can hurt it."""

import json
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from model.errors import ConfigError
from model.files import write_json
from model.training.run import train
from model.training.trackers import tracked
from model.training.trackers.mlflow import MlflowTracker

Event = dict[str, Any]
BOARD = "training.tensorboard=true"


def started(epoch: int = 0) -> Event:
    return {"kind": "started", "time": 1.0, "epoch": epoch, "steps_per_epoch": 4}


def progress(step: int, total: float = 1.0) -> Event:
    loss = {"total": total, "soft": None}
    return {"kind": "progress", "time": 2.0, "step": step, "loss": loss, "images_per_s": 80.0}


def epoch(number: int, score: float) -> Event:
    scores = {"branches": {"pico": {"pck@0.2": score}}, "ensemble": {"pck@0.2": score + 1}}
    return {
        "kind": "epoch",
        "time": 3.0,
        "epoch": number,
        "loss": {"total": 0.5},
        "lr": 0.01,
        **scores,
    }


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder with what its end leaves; a store's artifacts lie where one stands."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my-run"
    write_json(folder / "metrics.json", {"best": 1})
    Image.fromarray(np.full((6, 9, 3), 200, np.uint8)).save(folder / "curves.png")
    return folder


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its tables take a second to make: once for all."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").get_experiment_by_name("none")
    return path


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> dict[str, str]:
    """The environment of a run that is told to a real store of MLflow."""
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{shutil.copy(empty_store, tmp_path)}"}


def the_run(store: dict[str, str], experiment: str = "okdhp") -> Run:
    """The only one."""
    client = MlflowClient(store["MLFLOW_TRACKING_URI"])
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    (run,) = client.search_runs([found.experiment_id])
    return run


def history(store: dict[str, str], name: str) -> list[tuple[int, float]]:
    run = the_run(store)
    points = MlflowClient(store["MLFLOW_TRACKING_URI"]).get_metric_history(run.info.run_id, name)
    return [(point.step, point.value) for point in points]


# TensorBoard


def board_of(run_dir: Path) -> EventAccumulator:
    board = EventAccumulator(str(run_dir / "tensorboard"))
    board.Reload()
    return board


def curve(run_dir: Path, name: str) -> list[tuple[int, float]]:
    return [(point.step, pytest.approx(point.value)) for point in board_of(run_dir).Scalars(name)]


def test_tensorboard_shows_curves_and_pictures(make_config, run_dir: Path):
    """Losses and speed over steps; an epoch's loss, rate and every branch's metric at its end."""
    with tracked(make_config(BOARD), run_dir, environment={}) as tell:
        for event in (started(), progress(2), epoch(1, 40.0), epoch(2, 45.0)):
            tell(event)
        tell({"kind": "picture", "time": 4.0, "name": "curves.png", "path": "curves.png"})

    assert curve(run_dir, "step_loss/total") == [(2, 1.0)]
    assert curve(run_dir, "images_per_s") == [(2, 80.0)]
    assert curve(run_dir, "loss/total") == [(4, 0.5), (8, 0.5)]
    assert curve(run_dir, "lr") == [(4, 0.01), (8, 0.01)]
    assert curve(run_dir, "pico/pck_0.2") == [(4, 40.0), (8, 45.0)]
    assert curve(run_dir, "ensemble/pck_0.2") == [(4, 41.0), (8, 46.0)]
    (picture,) = board_of(run_dir).Images("curves.png")
    assert (picture.width, picture.height) == (9, 6)


def test_a_run_that_goes_on_hides_what_it_tells_again(make_config, run_dir: Path):
    """Killed in its third epoch it starts that one anew: no curve goes back in time."""
    for first, last in ((0, 3), (2, 4)):
        with tracked(make_config(BOARD), run_dir, environment={}) as tell:
            tell(started(first))
            for number in range(first, last):
                tell(progress(number * 4 + 2, total=last))
                tell(epoch(number + 1, score=10.0 * last))

    assert curve(run_dir, "pico/pck_0.2") == [(4, 30.0), (8, 30.0), (12, 40.0), (16, 40.0)]
    assert curve(run_dir, "step_loss/total") == [(2, 3.0), (6, 3.0), (10, 4.0), (14, 4.0)]


def test_without_its_package_tensorboard_is_refused_before_the_training(
    make_config, run_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whoever asks for curves and gets none learns of it at the start, not after a night."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    with (
        pytest.raises(
            ConfigError, match=r"^training\.tensorboard: .* pip install 'okdhp\[train\]'"
        ),
        tracked(make_config(BOARD), run_dir, environment={}),
    ):
        pass


def test_a_tracker_that_fails_is_left_out(
    make_config, run_dir: Path, caplog: pytest.LogCaptureFixture
):
    """A picture that cannot be read costs the curves' end, said once, and nothing else."""
    heard: list[Event] = []
    gone = {"kind": "picture", "time": 4.0, "name": "gone.png", "path": "gone.png"}

    with tracked(make_config(BOARD), run_dir, heard.append, environment={}) as tell:
        for event in (started(), gone, progress(1), gone):
            tell(event)

    assert [event["kind"] for event in heard] == ["started", "picture", "progress", "picture"]
    (told,) = caplog.records
    assert told.getMessage().startswith("TensorBoard is told nothing more: ")


# MLflow


def test_mlflow_is_told_a_run_from_its_parameters_to_its_end(
    make_config, run_dir: Path, store: dict[str, str]
):
    """A real store: every value of the configuration, the curves, the files, the state."""
    config = make_config()

    with tracked(config, run_dir, environment=store) as tell:
        for event in (started(), progress(2), epoch(1, 40.0), epoch(2, 45.0)):
            tell(event)
        tell({"kind": "picture", "time": 4.0, "name": "curves.png", "path": "curves.png"})
        tell({"kind": "finished", "time": 5.0, "metrics": {}})

    run = the_run(store)
    assert (run.info.run_name, run.info.status) == ("my-run", "FINISHED")
    assert run.data.params["optim.lr"] == str(config.optim.lr)
    assert run.data.params["network.width"] == "8"
    assert run.data.params["scheme.fau.fields"] == "kernel"
    assert '"name": "nano"' in run.data.params["network.branches"]
    assert history(store, "pico/pck_0.2") == [(4, 40.0), (8, 45.0)]
    assert history(store, "step_loss/total") == [(2, 1.0)]
    client = MlflowClient(store["MLFLOW_TRACKING_URI"])
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert names == {"curves.png", "metrics.json"}


def test_a_run_that_goes_on_is_the_same_run_of_mlflow(
    make_config, run_dir: Path, store: dict[str, str]
):
    """Stopped and resumed with more epochs: one line in the table, with its first parameters."""
    for first, epochs in ((0, 5), (1, 6)):
        with tracked(make_config(f"training.epochs={epochs}"), run_dir, environment=store) as tell:
            tell(started(first))
            tell(epoch(first + 1, 40.0 + first))
        assert the_run(store).info.status == "KILLED"

    assert history(store, "pico/pck_0.2") == [(4, 40.0), (8, 41.0)]
    assert the_run(store).data.params["training.epochs"] == "5"


def test_a_run_that_fails_is_a_failed_run_of_mlflow(
    make_config, run_dir: Path, store: dict[str, str]
):
    """Not one that seems to run for ever."""
    with (
        pytest.raises(RuntimeError, match="out of memory"),
        tracked(make_config(), run_dir, environment=store) as tell,
    ):
        tell(started())
        raise RuntimeError("out of memory")

    assert the_run(store).info.status == "FAILED"


def test_another_experiment_can_be_named(make_config, run_dir: Path, store: dict[str, str]):
    """As MLflow's own environment has it."""
    environment = store | {"MLFLOW_EXPERIMENT_NAME": "clinic"}

    with tracked(make_config(), run_dir, environment=environment) as tell:
        tell(started())

    assert the_run(store, "clinic").info.run_name == "my-run"


class Answering(BaseHTTPRequestHandler):
    """As much of MLflow's REST interface as a run needs; unavailable to begin with."""

    def answer(self) -> None:
        call = self.path.partition("?")[0].rpartition("mlflow/")[2]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or b"{}")
        self.server.heard.append((call, body))
        away = len(self.server.heard) <= self.server.away
        run_id = f"r{self.server.server_port}"  # MLflow remembers where a run keeps its files
        info = {"run_id": run_id, "artifact_uri": self.server.artifacts}
        run = {"run": {"info": info, "data": {}}}
        replies = {
            "experiments/get-by-name": {"experiment": {"experiment_id": "1"}},
            "runs/create": run,
            "runs/get": run,
        }
        content = json.dumps(replies.get(call, {})).encode()
        self.send_response(503 if away else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *of: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """heard: (call, body) of every request; away: so many of them are not answered."""

    def __init__(self, away: int, artifacts: str) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.away, self.artifacts = away, artifacts
        self.heard: list[tuple[str, dict[str, Any]]] = []

    @property
    def environment(self) -> dict[str, str]:
        return {"MLFLOW_TRACKING_URI": f"http://me:secret@127.0.0.1:{self.server_port}"}

    def told(self, call: str) -> list[dict[str, Any]]:
        return [body for heard, body in self.heard[self.away :] if heard == call]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Starts servers; MLflow's client gives up at once, ours tries again soon."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("model.training.trackers.mlflow._AGAIN_S", 0.05)
    with ExitStack() as closing:

        def start(away: int = 0, artifacts: str = (tmp_path / "kept").as_uri()) -> Server:
            running = closing.enter_context(Server(away, artifacts))
            closing.callback(running.shutdown)
            threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
            return running

        yield start


def test_a_server_that_comes_back_is_told_all(
    make_config, run_dir: Path, server: Callable[..., Server], caplog: pytest.LogCaptureFixture
):
    """What happened meanwhile is kept; that it was away is said once."""
    running = server(away=3)

    with tracked(make_config(), run_dir, environment=running.environment) as tell:
        tell(started())
        for step in range(1, 1501):
            tell(progress(step))
        while len(running.heard) < 5:
            time.sleep(0.01)
        tell({"kind": "finished", "time": 5.0, "metrics": {}})

    values = [value for body in running.told("runs/log-batch") for value in body.get("metrics", [])]
    steps = [value["step"] for value in values if value["key"] == "step_loss/total"]
    assert steps == list(range(1, 1501))
    assert max(len(body.get("metrics", [])) for body in running.told("runs/log-batch")) <= 1000
    assert running.told("runs/update")[-1]["status"] == "FINISHED"
    assert (run_dir.parent / "kept" / "metrics.json").is_file()
    (said,) = (r.getMessage() for r in caplog.records if "trackers" in r.name)
    assert said.startswith("MLflow cannot be reached, the training goes on: ")


def test_a_store_that_takes_no_files_costs_the_files_alone(
    make_config, run_dir: Path, server: Callable[..., Server], caplog: pytest.LogCaptureFixture
):
    """The curves are whole and the run has ended."""
    running = server(artifacts="memory://no-store-of-mlflow")

    with tracked(make_config(), run_dir, environment=running.environment) as tell:
        tell(progress(1))
        tell({"kind": "finished", "time": 5.0, "metrics": {}})

    assert running.told("runs/update")[-1]["status"] == "FINISHED"
    (said,) = (r.getMessage() for r in caplog.records if "trackers" in r.name)
    assert said.startswith("MLflow does not keep metrics.json: ")


def test_a_server_that_is_away_costs_a_run_nothing(
    make_config, run_dir: Path, server: Callable[..., Server], caplog: pytest.LogCaptureFixture
):
    """Thousands of events pass at once, the newest are kept, and the end is not waited for."""
    running = server(away=10**9)
    began = time.monotonic()

    with tracked(make_config(), run_dir, environment=running.environment) as tell:
        for step in range(1, 20_001):
            tell(progress(step))
        told_s = time.monotonic() - began
        while not running.heard:
            time.sleep(0.01)
        ended = time.monotonic()

    assert told_s < 2
    assert time.monotonic() - ended < 2
    said = [r.getMessage() for r in caplog.records if "trackers" in r.name]
    assert [line.partition(":")[0] for line in said] == [
        "MLflow cannot be reached, the training goes on",
        "MLflow was not told all",
    ]
    assert said[1] == "MLflow was not told all: 20000 values are missing"
    assert "127.0.0.1" in said[0]
    assert "secret" not in said[0]


def test_a_server_that_never_answers_is_not_waited_for(make_config, run_dir: Path):
    """It takes the connection and says nothing: so long and no longer at the end."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        silent = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{deaf.getsockname()[1]}"}
        with MlflowTracker(make_config(), run_dir, silent, patience_s=0.3) as tell:
            tell(progress(1))
            ended = time.monotonic()

    assert time.monotonic() - ended < 1


def test_without_its_package_mlflow_is_told_nothing_and_we_are_told_so(
    make_config,
    run_dir: Path,
    store: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    """The variable may be set for all of a machine's programs: no reason to refuse a training."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with tracked(make_config(), run_dir, environment=store) as tell:
        tell(started())

    assert [r.getMessage() for r in caplog.records] == [
        "MLflow is told nothing: pip install 'okdhp[mlflow]'"
    ]
    assert not (run_dir / "mlflow.json").exists()


# A whole run


def after(steps: int) -> Callable[[], bool]:
    """A `stop` that lets so many steps pass."""
    left = iter(range(steps))
    return lambda: next(left, None) is None


def test_a_training_tells_both(make_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store):
    """Through the environment and its configuration, as a user has them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store["MLFLOW_TRACKING_URI"])

    train(make_config(BOARD), tmp_path / "run", device="cpu", stop=after(3))

    assert [step for step, _ in curve(tmp_path / "run", "loss/total")] == [2]
    assert [step for step, _ in history(store, "loss/total")] == [2]
    names = the_run(store).data.metrics
    assert {"pico/pck_0.2", "nano/pck_0.2", "ensemble/pck_0.2", "lr"} <= set(names)
