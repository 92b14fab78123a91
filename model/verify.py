"""Is a student what its receipt says? What can be computed again is, and held to the claim."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from model.evidence import Exam, Sat, sat
from model.onnx_file import Contents, contents_of
from model.precisions import FULL
from model.predictor import Card, Predictor
from model.receipt import (
    NOT_MEASURED,
    Accuracy,
    Calibration,
    Figure,
    Latency,
    Parity,
    Receipt,
    measured,
)

Again = Mapping[tuple[str, bool], Sat]
"""What is answered here, by a set's fingerprint and whether with flip test."""
Verdict = Literal["same", "differs", "told", "not checked"]
"""told: what no claim is held to; not checked: what takes photographs, or a training."""

POINTS: Final = 0.1
"""Another processor rounds otherwise: of a thousand joints one may fall on the other side."""
AP: Final = 0.001
ECE: Final = 0.005
MOVED: Final = 0.001
"""A share of joints: two peaks of the same height are told apart by rounding alone."""


@dataclass(frozen=True)
class Check:
    """One claim."""

    what: str
    claimed: str
    found: str
    verdict: Verdict


def verify(
    path: Path,
    receipt: Receipt,
    exams: Sequence[Exam],
    *,
    parity: Sequence[Parity] = (),
    latency: Sequence[Latency] = (),
) -> list[Check]:
    """Every claim with what is found here.

    exams: sets to answer again, cut out as the student's card says. parity: measured again, where
    the run that the file came from is at hand. latency: measured on this machine.
    Raises ModelUnusable.
    """
    predictor = Predictor(path)
    again = _answered(predictor, receipt, exams)
    return [
        *_file(contents_of(path), receipt),
        *_card(predictor.card, receipt),
        *_accuracy(receipt, again),
        *_calibration(receipt, again),
        *_parity(receipt, parity),
        *_fewer_bits(receipt),
        *_unclaimed(receipt),
        *_latency(receipt, latency),
        _gain(receipt),
    ]


def _file(found: Contents, receipt: Receipt) -> Iterator[Check]:
    file, cost = receipt.file, receipt.cost
    yield _same("SHA-256", file.sha256[:12], found.sha256[:12], file.sha256 == found.sha256)
    for what, claimed, counted in (
        ("bytes", file.bytes, found.bytes),
        ("numbers in the file", file.numbers, found.numbers),
        ("parameters", cost.parameters, found.parameters),
        ("multiply-accumulates of a crop", cost.macs, found.macs),
    ):
        yield _same(what, f"{claimed:,}", f"{counted:,}", claimed == counted)
    more = [f"{family}'s operators" for family in found.foreign]
    more += ["weights in other files"] if found.external else []
    opset = " and ".join([f"opset {found.opset}", *more])
    yield _same("needs", f"opset {file.opset}", opset, f"opset {file.opset}" == opset)


def _card(card: Card, receipt: Receipt) -> Iterator[Check]:
    """What the file says of itself: it may have been given a receipt that tells another story."""
    learnt = ", ".join(source.name for source in receipt.data.train)
    for what, claimed, found in (
        ("branch", receipt.branch, card.branch),
        ("run", receipt.run, card.run),
        ("crop", _size(receipt.cost.crop_px), _size(card.size)),
        ("learnt from", learnt, ", ".join(card.data)),
        ("precision", _precision(receipt), card.precision),
    ):
        yield _same(f"card: {what}", claimed, found, claimed == found)
    for of in measured(receipt.accuracy):
        for metric, value in card.metrics.get(of.data, {}).items():
            if metric in of.metrics:
                figure = Figure(value=value)
                yield _figure(f"card: {metric} on {of.data}", metric, of.metrics[metric], figure)


def _answered(predictor: Predictor, receipt: Receipt, exams: Sequence[Exam]) -> Again:
    """The sets that are at hand, as they were claimed to be answered; others without flip test."""
    claims: list[Accuracy | Calibration] = [
        *measured(receipt.accuracy),
        *measured(receipt.calibration),
    ]
    return {
        (exam.fingerprint, flip_test): sat(predictor, exam, flip_test=flip_test)
        for exam in exams
        for flip_test in {c.flip_test for c in claims if c.fingerprint == exam.fingerprint}
        or {False}
    }


def _accuracy(receipt: Receipt, again: Again) -> Iterator[Check]:
    claims = measured(receipt.accuracy)
    for claim in claims:
        found = again.get((claim.fingerprint, claim.flip_test))
        figures = None if found is None else found.accuracy(chosen_on=False).metrics
        for metric, figure in claim.metrics.items():
            what = f"{metric} on {_set(claim)}"
            if figures is None:
                yield _unchecked(what, figure.text(metric))
            else:
                yield _figure(what, metric, figure, figures.get(metric))
    known = {claim.fingerprint for claim in claims}
    for (fingerprint, _), found in again.items():
        if fingerprint not in known:
            more = found.accuracy(chosen_on=False)
            for metric, figure in more.metrics.items():
                what = f"{metric} on {more.data}, {more.people} people"
                yield Check(what, "nothing of these people", figure.text(metric), "told")


def _calibration(receipt: Receipt, again: Again) -> Iterator[Check]:
    for claim in measured(receipt.calibration):
        what = f"calibration error on {_set(claim)}"
        found = again.get((claim.fingerprint, claim.flip_test))
        told = None if found is None else found.calibration()
        if told is None:
            yield _unchecked(what, f"{claim.ece:.3f}")
        else:
            within = abs(told.ece - claim.ece) <= ECE
            yield _same(what, f"{claim.ece:.3f}", f"{told.ece:.3f}", within)


def _parity(receipt: Receipt, parity: Sequence[Parity]) -> Iterator[Check]:
    found = {of.data: of for of in parity}
    for claim in measured(receipt.parity):
        what, again = f"parity with PyTorch on {claim.data}", found.get(claim.data)
        if again is None or again.people != claim.people:
            yield _unchecked(what, _held(claim))
            continue
        worst = max((abs(change) for change in again.metric_change.values()), default=0.0)
        moved = again.share_moved_half_a_px - claim.share_moved_half_a_px
        yield _same(what, _held(claim), _held(again), moved <= MOVED and worst <= POINTS)


def _latency(receipt: Receipt, latency: Sequence[Latency]) -> Iterator[Check]:
    here = {(of.provider, of.batch): of for of in latency}
    claims = measured(receipt.latency)
    if not claims:
        for of in latency:
            what = f"latency, {of.provider}, batch {of.batch}"
            yield Check(what, NOT_MEASURED, f"{of.median_ms:.2f} ms", "told")
    for claim in claims:
        again = here.get((claim.provider, claim.batch))
        on = claim.device if again is None or again.device == claim.device else "another machine"
        found = "not to be had here" if again is None else f"{again.median_ms:.2f} ms"
        what = f"latency, {claim.provider}, batch {claim.batch}"
        yield Check(what, f"{claim.median_ms:.2f} ms on {on}", found, "told")


def _precision(receipt: Receipt) -> str:
    return FULL if receipt.against_fp32 is None else receipt.against_fp32.precision


def _fewer_bits(receipt: Receipt) -> Iterator[Check]:
    """It takes the float32 file to measure them again."""
    against = receipt.against_fp32
    for change in () if against is None else against.changes:
        what = f"{change.metric} against fp32 on {change.data}"
        yield _unchecked(what, f"{change.points:+.2f} points")


def _unclaimed(receipt: Receipt) -> Iterator[Check]:
    """A figure that is missing must not look like one that holds."""
    for what, claims in (
        ("accuracy", receipt.accuracy),
        ("calibration", receipt.calibration),
        ("parity with PyTorch", receipt.parity),
    ):
        if isinstance(claims, str):
            yield Check(what, NOT_MEASURED, "", "told")


def _gain(receipt: Receipt) -> Check:
    gain = receipt.gain
    if isinstance(gain, str):
        return Check("gain over the same student alone", NOT_MEASURED, "", "told")
    low, high = gain.interval_95
    claimed = f"{gain.points:+.1f} ({low:+.1f}…{high:+.1f}) {gain.metric} on {gain.data}"
    return _unchecked(f"gain over {gain.against}", claimed)


def _same(what: str, claimed: str, found: str, same: bool) -> Check:
    return Check(what, claimed, found, "same" if same else "differs")


def _unchecked(what: str, claimed: str) -> Check:
    return Check(what, claimed, "", "not checked")


def _figure(what: str, metric: str, claimed: Figure, found: Figure | None) -> Check:
    """Held to the claim within rounding; a difference is told in points."""
    if found is None:
        return _same(what, claimed.text(metric), "nothing", False)
    off = found.value - claimed.value
    within = abs(off) <= (AP if metric == "AP" else POINTS) + 1e-9
    told = found.text(metric) if within else f"{found.text(metric)}, {off:+.2f}"
    return _same(what, claimed.text(metric), told, within)


def _held(of: Parity) -> str:
    return f"{of.largest_px:.4f} px at most, {of.people} people"


def _set(claim: Accuracy | Calibration) -> str:
    return f"{claim.data}{' with --flip' if claim.flip_test else ''}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"
