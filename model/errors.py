"""What can be wrong with what a person hands us. Knows no HTTP: `service.errors` does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class PoseError(Exception):
    """Base of every error that a user can act on; its text is shown to them."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own calls the class with the text alone, whatever the class takes.
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[PoseError], args: tuple[Any, ...], values: dict[str, Any]) -> PoseError:
    """The error as another process raised it."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(values)
    return error


class ImageUnreadable(PoseError):
    """The bytes are not a picture that we accept, or they are damaged."""


class ImageTooLarge(PoseError):
    """The picture has more pixels than we decode."""

    def __init__(self, pixels: int, limit: int) -> None:
        super().__init__(f"the image has {pixels:,} pixels; the limit is {limit:,}")


class BoxInvalid(PoseError):
    """A person's box is not a usable rectangle on its image."""


class DatasetError(PoseError):
    """A data set, or one row of it, is not what its format demands."""

    def __init__(self, file: Path | str, row: int | str | None, fault: str) -> None:
        where = f"{file}" if row is None else f"{file}, row {row}"
        super().__init__(f"{where}: {fault}")
        self.file, self.row, self.fault = str(file), row, fault


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a configuration."""

    where: str  # the key's path, as `training.epochs`
    problem: str  # what was found
    accepted: str = ""  # what would be accepted
    nearest: str = ""  # the right key that is spelt most like it

    def __str__(self) -> str:
        text = f"{self.where}: {self.problem}"
        if self.accepted:
            text += f"; accepted: {self.accepted}"
        if self.nearest:
            text += f"; did you mean {self.nearest}?"
        return text


class ConfigError(PoseError):
    """A configuration has unknown keys or impossible values."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class ModelUnusable(PoseError):
    """An ONNX file or run is not one of ours, or cannot run here."""


class CheckpointUnusable(PoseError):
    """A checkpoint is missing, damaged or of another configuration."""


class ReceiptUnusable(PoseError):
    """A student's receipt is missing, damaged, or of another version of this code."""


class ComparisonImpossible(PoseError):
    """Too few runs of a comparison are there to hold any against another."""


class TrainingDiverged(PoseError):
    """The loss is no longer a number."""


class DiskFull(PoseError):
    """A file found no room; what it was to replace is whole."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no space left to write {name}; the file before it, if any, is whole: "
            "make room, then resume"
        )


class ProcessLost(PoseError):
    """A process of a training on several devices ended without a word."""
