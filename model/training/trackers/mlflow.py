"""An MLflow server that follows a run, where MLFLOW_TRACKING_URI names one.

Everything is sent by a thread of its own, out of a bounded list: a server that is slow or away
delays no step. What cannot be sent is kept and sent when the server is back; at the run's end it is
waited for a little.
"""

import importlib.util
import json
import logging
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from model.config import Config
from model.files import write_json
from model.training.trackers.points import Points

log = logging.getLogger(__name__)

ID_FILE: Final = "mlflow.json"
"""In the run's folder: the MLflow run that a resume goes on with."""

_KEPT: Final = 20_000  # values, while the server is away: the oldest are let go
_VALUES: Final = 1000  # a request, MLflow's limit
_PARAMETERS: Final = 100  # a request, MLflow's limit
_LETTERS: Final = 500  # of a parameter, the limit of older servers
_AGAIN_S: Final = 15.0  # between tries while the server is away


class Value(NamedTuple):
    """A point of a curve."""

    name: str
    value: float
    at_ms: int
    step: int


class MlflowTracker:
    """The configuration as parameters, curves as metrics, pictures and metrics.json as artifacts.

    The experiment is MLFLOW_EXPERIMENT_NAME or `okdhp`; the run has the name of its folder.
    """

    def __init__(
        self,
        config: Config,
        run_dir: Path,
        environment: Mapping[str, str],
        *,
        patience_s: float = 20.0,
    ) -> None:
        """patience_s: for what is not sent yet when the run has ended."""
        experiment = environment.get("MLFLOW_EXPERIMENT_NAME", "okdhp")
        self._server = _Server(environment["MLFLOW_TRACKING_URI"], experiment, config, run_dir)
        self._patience_s = patience_s
        self._points = Points()
        self._values: list[Value] = []
        self._files: list[str] = []
        self._status = "RUNNING"
        self._changed = threading.Condition()
        # A daemon: a server that never answers does not keep the process.
        self._thread = threading.Thread(target=self._send, name="mlflow", daemon=True)

    def __enter__(self) -> Self:
        if importlib.util.find_spec("mlflow") is None:
            log.warning("MLflow is told nothing: pip install 'okdhp[mlflow]'")
        else:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread.ident is None:
            return
        with self._changed:
            if self._status == "RUNNING":  # stopped: it may go on
                self._status = "KILLED" if error is None else "FAILED"
            self._changed.notify()
        self._thread.join(self._patience_s)
        if self._values or self._files:
            log.warning("MLflow was not told all: %d values are missing", len(self._values))

    def __call__(self, event: Mapping[str, Any]) -> None:
        """One event of the run; returns at once."""
        step, values = self._points.of(event)
        at_ms = int(event["time"] * 1000)
        with self._changed:
            self._values += [Value(name, value, at_ms, step) for name, value in values.items()]
            del self._values[:-_KEPT]
            if event["kind"] == "picture":
                self._files.append(event["path"])
            elif event["kind"] == "finished":
                self._files.append("metrics.json")
                self._status = "FINISHED"
            self._changed.notify()

    def _send(self) -> None:
        """The thread: until the run has ended and all is sent, or the last try has failed."""
        told = False
        while True:
            ended = self._status != "RUNNING"
            try:
                self._server.open()
                while self._send_some():
                    pass
                return
            except Exception as error:  # a server can be away in every way there is
                if not told:
                    log.warning("MLflow cannot be reached, the training goes on: %s", _told(error))
                told = True
            if ended:
                return
            with self._changed:
                self._changed.wait_for(lambda: self._status != "RUNNING", _AGAIN_S)

    def _send_some(self) -> bool:
        """Send one request's worth, or wait; False once the run has ended and all is sent."""
        with self._changed:
            self._changed.wait_for(self._something)
            values, file, status = self._values[:_VALUES], self._files[:1], self._status
        if values:
            self._server.send(values)
            with self._changed:
                # The oldest may have been let go meanwhile: what was sent is known by itself.
                sent = set(values)
                self._values = [value for value in self._values if value not in sent]
            return True
        if file:
            with self._changed:
                del self._files[0]
            self._server.keep(file[0])
            return True
        self._server.end(status)
        return False

    def _something(self) -> bool:
        return bool(self._values or self._files) or self._status != "RUNNING"


class _Server:
    """The calls, from one thread; all but `keep` may raise."""

    def __init__(self, uri: str, experiment: str, config: Config, run_dir: Path) -> None:
        self._uri, self._experiment = uri, experiment
        self._config, self._run_dir = config, run_dir
        self._client: Any = None
        self._run_id = ""

    def open(self) -> None:
        """Go on with this folder's MLflow run, or begin one."""
        if self._run_id:
            return
        from mlflow.tracking import MlflowClient  # takes a second: not before it is needed

        self._client = MlflowClient(tracking_uri=self._uri)
        run_id = self._known() or self._begun()
        self._describe(run_id)
        self._run_id = run_id

    def send(self, values: list[Value]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(v.name, v.value, v.at_ms, v.step) for v in values]
        self._client.log_batch(self._run_id, metrics=metrics)

    def keep(self, file: str) -> None:
        """A file of the run's folder as an artifact; its store may be another server."""
        try:
            self._client.log_artifact(self._run_id, str(self._run_dir / file))
        except Exception as error:
            log.warning("MLflow does not keep %s: %s", file, _told(error))

    def end(self, status: str) -> None:
        self._client.set_terminated(self._run_id, status)

    def _known(self) -> str | None:
        """The run that an earlier attempt began, unless this server has none such."""
        from mlflow.exceptions import MlflowException

        try:
            run_id = str(json.loads((self._run_dir / ID_FILE).read_text("utf-8"))["run_id"])
        except FileNotFoundError:
            return None
        try:
            self._client.update_run(run_id, status="RUNNING")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return run_id

    def _begun(self) -> str:
        known = self._client.get_experiment_by_name(self._experiment)
        experiment = known.experiment_id if known else self._create_experiment()
        run_id = str(self._client.create_run(experiment, run_name=self._run_dir.name).info.run_id)
        write_json(self._run_dir / ID_FILE, {"run_id": run_id})
        return run_id

    def _describe(self, run_id: str) -> None:
        """The configuration; of a run that goes on, what has changed stays as it was first."""
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException

        tree = self._config.model_dump(mode="json")
        parameters = [Param(name, text[:_LETTERS]) for name, text in _flat(tree)]
        for start in range(0, len(parameters), _PARAMETERS):
            try:
                self._client.log_batch(run_id, params=parameters[start : start + _PARAMETERS])
            except MlflowException as error:
                if error.error_code != "INVALID_PARAMETER_VALUE":
                    raise

    def _create_experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.create_experiment(self._experiment))
        except MlflowException:  # a run beside this one was quicker
            return str(self._client.get_experiment_by_name(self._experiment).experiment_id)


def _flat(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """A configuration's values by their path, as text."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", json.dumps(value) if isinstance(value, list) else str(value)


def _told(error: Exception) -> str:
    """Without the password that a server's URL may hold: others read the log."""
    return re.sub(r"//[^/@\s]+@", "//", str(error))
