"""The receipt: what is claimed of one exported student, in one JSON file beside it.

`verify` computes again what can be computed again; a registry serves it, and a gate may read it.
What nobody has measured says so: a figure that is left out looks like one that is not needed.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import Field, ValidationError

from model.config.base import Part
from model.errors import ReceiptUnusable
from model.files import sha256_of, write_json
from model.precisions import Fewer

FORMAT: Final = 1
NOT_MEASURED: Final = "not measured"
NotMeasured = Literal["not measured"]
Claim = TypeVar("Claim")
Interval = tuple[float, float]
"""95 %, low and high."""


class FileFacts(Part):
    """The ONNX file itself."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int
    opset: int = Field(description="of the standard operators; there are no others")
    numbers: int = Field(description="floats that the file holds, statistics and decoder included")


class CostFacts(Part):
    """The student as `model.network.cost` counts it."""

    crop_px: tuple[int, int]
    parameters: int
    macs: int = Field(description="multiply-accumulates of one crop")


class Gain(Part):
    """What distillation adds to the same student trained alone, in points of the metric."""

    metric: str
    points: float
    interval_95: Interval
    seeds: tuple[int, ...]
    against: str = Field("none", description="the scheme that it is measured against")
    data: str = Field(description="the people that both were measured on")
    source: str = Field(description="the comparison that measured it")


class Parity(Part):
    """The file against the PyTorch network that it was exported from, on all people of a set."""

    data: str
    people: int
    largest_px: float = Field(description="largest distance of a joint, in crop pixels")
    share_moved_half_a_px: float
    largest_score_change: float
    metric_change: dict[str, float]


class Figure(Part):
    """A metric's number: PCK and PCKh in percent, AP within 0…1."""

    value: float
    interval_95: Interval | None = None

    def text(self, metric: str) -> str:
        """As people read it: `68.8 (66.4–71.0)`."""
        digits = 3 if metric == "AP" else 1
        if self.interval_95 is None:
            return f"{self.value:.{digits}f}"
        low, high = self.interval_95
        return f"{self.value:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


class Accuracy(Part):
    """How good the student's answers are on a set whose boxes are given."""

    data: str
    people: int
    fingerprint: str
    flip_test: bool
    chosen_on: bool = Field(
        description="whether epoch and branch were chosen on these people, which flatters a little"
    )
    answered_by: str = Field(description="what ran the student, as `ONNX Runtime, cpu`")
    metrics: dict[str, Figure]


class Bin(Part):
    """Joints whose score lies within low…high."""

    low: float
    high: float
    joints: int
    score: float | None = Field(description="their mean score, 0…1")
    found: float | None = Field(description="the share of them within tolerance")


class Calibration(Part):
    """Whether a score is the chance that the joint lies within tolerance."""

    data: str
    people: int
    fingerprint: str
    flip_test: bool
    tolerance: str = Field(description="the metric whose threshold it is, as pck@0.2")
    joints: int
    ece: float = Field(description="expected calibration error, 0…1")
    bins: tuple[Bin, ...]


class VisibleMap(Part):
    """The map from scores to the probability that a joint is seen and not hidden."""

    map: Literal["pooled", "per joint"]
    data: tuple[str, ...] = Field(description="whose validation people it was fitted on")
    joints: int = Field(description="labelled ones whose visibility is known")
    share_visible: float = Field(description="how many of them are seen, 0…1")
    ece: float = Field(
        description="expected calibration error, 0…1, on people that it was not fitted on"
    )
    auroc: float = Field(
        description="on the same: the chance that one that is seen is told a higher probability "
        "than one that is hidden; 0.5 tells nothing"
    )
    auroc_one_joint: float = Field(description="the same of two that are the same joint")
    held_out: str = Field(description="which people those are")


class ScoreMap(Part):
    """The map from scores to probabilities that is in the file (`model.calibration`)."""

    map: Literal["pooled", "per joint"]
    data: tuple[str, ...] = Field(description="whose validation people it was fitted on")
    tolerance: str = Field(description="the metric whose threshold it is, as pck@0.2")
    joints: int
    ece_before: float = Field(description="expected calibration error without the map, 0…1")
    ece_after: float = Field(description="with it, on people that it was not fitted on")
    held_out: str = Field(description="which people those are")
    visible: VisibleMap | None = Field(
        None, description="None where the file tells nothing of visibility"
    )


class Latency(Part):
    """The median time of one inference, without decoding and cutting out."""

    device: str
    provider: str
    threads: int | None = Field(description="of ONNX Runtime, on a CPU")
    batch: int = Field(description="crops that are answered at once")
    median_ms: float


class Change(Part):
    """What fewer bits change on a set, by the same people's answers of both files."""

    data: str
    people: int
    fingerprint: str
    metric: str
    points: float = Field(description="below 0: a loss; of AP hundredths")
    interval_95: Interval | None = Field(description="None for AP, of which none is drawn")


class Speed(Part):
    """How the file compares on one machine, each inference beside the other file's."""

    device: str
    provider: str
    batch: int = Field(description="crops that are answered at once")
    fp32_ms: float = Field(description="the original's median; the file's own is its latency")
    times: float = Field(description="how many times as fast as the original; below 1: slower")


class Source(Part):
    """A set that was learnt from or judged on."""

    name: str
    people: int | None
    fingerprint: str | None
    terms: str


class AgainstFp32(Part):
    """A file in fewer bits, held to the float32 file that it was made from."""

    precision: Fewer
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of the float32 file")
    ranges: Source | None = Field(description="whose crops int8's ranges were taken from")
    changes: tuple[Change, ...]
    speed: tuple[Speed, ...]


class Data(Part):
    train: tuple[Source, ...]
    valid: tuple[Source, ...]


class Licence(Part):
    """One link of the chain of what this student came from."""

    of: str
    terms: str = Field(description="as far as known, else `unknown: …`")


class Made(Part):
    """With what it was trained, None where that is not recorded; no path of the machine is told."""

    at: str = Field(description="when the receipt was written: ISO 8601, UTC")
    code: str | None = Field(description="the code's version")
    command: tuple[str, ...] | None
    python: str | None
    packages: dict[str, str | None] | None


class Receipt(Part):
    """The whole. A field that is added has a default: receipts without it stay readable."""

    format: Literal[1] = FORMAT
    name: str = Field(description="of the model in a registry")
    branch: str
    run: str
    file: FileFacts
    cost: CostFacts
    gain: Gain | NotMeasured
    parity: tuple[Parity, ...] | NotMeasured
    accuracy: tuple[Accuracy, ...] | NotMeasured
    calibration: tuple[Calibration, ...] | NotMeasured
    latency: tuple[Latency, ...] | NotMeasured
    score_map: ScoreMap | None = Field(
        None, description="None where a score is what the decoder says"
    )
    against_fp32: AgainstFp32 | None = Field(None, description="None for a float32 file")
    data: Data
    licences: tuple[Licence, ...]
    config: dict[str, Any] | None = Field(description="resolved; None where it is not recorded")
    made: Made


def measured(claims: Iterable[Claim] | NotMeasured) -> tuple[Claim, ...]:
    """The claims; none where nothing was measured."""
    return () if isinstance(claims, str) else tuple(claims)


def with_latency(receipt: Receipt, latency: Sequence[Latency]) -> Receipt:
    """The same student on a machine where it was timed."""
    return receipt.model_copy(update={"latency": tuple(latency)})


def beside(onnx: Path) -> Path:
    """Where the receipt of a student's file lies."""
    return onnx.with_suffix(".receipt.json")


def write_receipt(path: Path, receipt: Receipt) -> None:
    """Indented JSON, whole or not there."""
    write_json(path, receipt.model_dump(mode="json"))


def read_receipt(path: Path) -> Receipt:
    """Raises ReceiptUnusable: not there, damaged, or of another version."""
    try:
        tree = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ReceiptUnusable(f"there is no receipt {path.name}") from None
    except (OSError, ValueError) as error:
        raise ReceiptUnusable(f"{path.name} cannot be read: {error}") from None
    return parse_receipt(tree, path.name)


def receipt_of(onnx: Path) -> Receipt | None:
    """The receipt beside a student's file; None where there is none.

    Raises ReceiptUnusable, where it is another file's too.
    """
    path = beside(onnx)
    if not path.is_file():
        return None
    receipt = read_receipt(path)
    if receipt.file.sha256 != sha256_of(onnx):
        raise ReceiptUnusable(f"{path.name} is the receipt of another file than {onnx.name}")
    return receipt


def parse_receipt(tree: Any, name: str) -> Receipt:
    """A receipt's JSON; `name` is for the error. Raises ReceiptUnusable."""
    found = tree.get("format") if isinstance(tree, dict) else None
    if found != FORMAT:
        raise ReceiptUnusable(f"{name} has format {found!r}; this code reads {FORMAT}")
    try:
        return Receipt.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ReceiptUnusable(f"{name}: {where}: {first['msg']}") from None
