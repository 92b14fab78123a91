"""TensorBoard's event files, in the run's folder: `tensorboard --logdir RUN/tensorboard`."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from PIL import Image

from model.errors import ConfigError, Fault
from model.training.trackers.points import Points

FOLDER: Final = "tensorboard"


class TensorBoardTracker:
    """Curves and, at the end, pictures."""

    def __init__(self, run_dir: Path) -> None:
        """Raises ConfigError where the package is missing."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            fault = Fault(
                "training.tensorboard",
                "the package tensorboard is not installed",
                "false, or pip install 'okdhp[train]'",
            )
            raise ConfigError([fault]) from None
        self._run_dir = run_dir
        self._points = Points()
        self._open = SummaryWriter
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """One event of the run."""
        step, values = self._points.of(event)
        if event["kind"] == "started":
            # What an earlier attempt wrote after its last checkpoint is hidden.
            self._writer = self._open(str(self._run_dir / FOLDER), purge_step=step)
        elif self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            if event["kind"] == "picture":
                with Image.open(self._run_dir / event["path"]) as picture:
                    pixels = np.asarray(picture.convert("RGB"))
                self._writer.add_image(event["name"], pixels, dataformats="HWC")
