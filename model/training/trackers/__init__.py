"""Where a run is followed beside its own events: files for TensorBoard, an MLflow server.

A tracker hears what everybody hears. One that fails is told of and left out; the training goes on.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from model.config import Config
from model.training.events import Listener
from model.training.trackers.mlflow import MlflowTracker
from model.training.trackers.tensorboard import TensorBoardTracker

log = logging.getLogger(__name__)


@contextmanager
def tracked(
    config: Config,
    run_dir: Path,
    listen: Listener | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Listener]:
    """A listener that tells `listen` and the trackers that are asked for, closed at the end.

    Raises ConfigError where `training.tensorboard` is set without its package.
    """
    with ExitStack() as closing:
        heard = [] if listen is None else [listen]
        if config.training.tensorboard:
            board = closing.enter_context(TensorBoardTracker(run_dir))
            heard.append(_harmless(board, "TensorBoard"))
        if environment.get("MLFLOW_TRACKING_URI"):
            mlflow = closing.enter_context(MlflowTracker(config, run_dir, environment))
            heard.append(mlflow)

        def tell(event: dict[str, Any]) -> None:
            for one in heard:
                one(event)

        yield tell


def _harmless(tracker: Callable[[dict[str, Any]], None], name: str) -> Listener:
    """The tracker until it fails."""
    failed = False

    def hear(event: dict[str, Any]) -> None:
        nonlocal failed
        if failed:
            return
        try:
            tracker(event)
        except Exception as error:  # of its files, its package, its threads
            failed = True
            log.warning("%s is told nothing more: %s", name, error)

    return hear
