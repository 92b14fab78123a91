"""A student in fewer bits, held to the float32 file that it was made from: same people, one run.

No torch. What is measured of the file itself stands where every receipt has it; what fewer bits
cost and bring stands under `against_fp32`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import onnx

from model.appraisal import appraise
from model.config import SourceConfig
from model.data.mixture import open_source
from model.data.terms import terms_of
from model.evaluation import PCK_METRICS, hits_of
from model.evidence import Exam, Sat, latencies, prepared, sat
from model.files import replaced, sha256_of, write_with
from model.metrics.bootstrap import Estimate, PairedBootstrap
from model.onnx_file import contents_of
from model.precisions import Fewer
from model.predictor import Predictor
from model.quantise import put_card, quantised
from model.receipt import (
    NOT_MEASURED,
    Accuracy,
    AgainstFp32,
    Change,
    Latency,
    Licence,
    Receipt,
    Source,
    Speed,
    beside,
    measured,
    receipt_of,
    write_receipt,
)


def exam_of(source: SourceConfig | None, student: Path) -> Exam | None:
    """The people cut out as a student's file wants them; None for nobody.

    Raises ModelUnusable, DatasetError.
    """
    if source is None:
        return None
    card = Predictor(student).card
    return prepared(open_source(source), card.size, card.padding)


def make_variant(
    source: Path,
    precision: Fewer,
    target: Path,
    *,
    ranges: Exam | None,
    exams: Sequence[Exam],
) -> Receipt:
    """Write a float32 student's file in fewer bits, and the receipt beside it.

    source: its receipt, where one lies beside it, is where the rest of the new one comes from.
    ranges: whose crops int8's ranges are taken from; fp16 takes none. exams: people whom both files
    answer; at least one set. Raises ModelUnusable, ReceiptUnusable.
    """
    if not exams:
        raise ValueError("what fewer bits cost is measured on somebody")
    quantised(source, precision, None if ranges is None else ranges.crops, target)
    before, after = Predictor(source), Predictor(target)
    pairs = [
        (sat(before, exam, flip_test=False), sat(after, exam, flip_test=False)) for exam in exams
    ]
    original = _receipt_of(source)
    told = _chosen_on(original)
    accuracy = tuple(mine.accuracy(chosen_on=mine.exam.fingerprint in told) for _, mine in pairs)
    _tell(target, accuracy)
    theirs, own = latencies([source, target])
    calibration = tuple(c for _, mine in pairs if (c := mine.calibration()) is not None)
    people = None if ranges is None else _source(ranges)
    receipt = original.model_copy(
        update={
            "file": contents_of(target).facts(),
            "gain": NOT_MEASURED,
            "parity": NOT_MEASURED,
            "accuracy": accuracy,
            "calibration": calibration or NOT_MEASURED,
            "latency": tuple(own),
            "against_fp32": AgainstFp32(
                precision=precision,
                sha256=sha256_of(source),
                ranges=people,
                changes=tuple(change for pair in pairs for change in _changes(*pair)),
                speed=tuple(_speed(*pair) for pair in zip(theirs, own, strict=True)),
            ),
            "licences": _licences(original, people),
            "made": original.made.model_copy(
                update={"at": datetime.now(UTC).isoformat(timespec="seconds")}
            ),
        }
    )
    write_receipt(beside(target), receipt)
    return receipt


def _receipt_of(source: Path) -> Receipt:
    """The original's; of one that came without what its file tells. Raises ReceiptUnusable."""
    return receipt_of(source) or appraise(source, ())


def _chosen_on(original: Receipt) -> set[str | None]:
    """Fingerprints of the people on whom epoch and branch were chosen."""
    return {source.fingerprint for source in original.data.valid} - {None}


def _tell(target: Path, accuracy: Sequence[Accuracy]) -> None:
    """Put what was measured into the file's own card, as an export does."""
    graph = onnx.load(target)
    metrics = {
        of.data: {name: figure.value for name, figure in of.metrics.items()} for of in accuracy
    }
    put_card(graph, replace(Predictor(target).card, metrics=metrics))
    write_with(target, lambda file: file.write(graph.SerializeToString()))


def _changes(before: Sat, after: Sat) -> list[Change]:
    """Of every metric that the set allows; PCK's with the interval of the paired difference."""
    exam, found = before.exam, []
    was, now = (of.accuracy(chosen_on=False).metrics for of in (before, after))
    for metric in was:
        points, interval = 100 * (now[metric].value - was[metric].value), None
        if metric in PCK_METRICS:
            estimate = _difference(before, after, metric)
            points, interval = estimate.value, (round(estimate.low, 3), round(estimate.high, 3))
        found.append(
            Change(
                data=exam.labelled.name,
                people=len(exam.labelled.people),
                fingerprint=exam.fingerprint,
                metric=metric,
                points=round(points, 3),
                interval_95=interval,
            )
        )
    return found


def _difference(before: Sat, after: Sat, metric: str) -> Estimate:
    """How many points of a PCK metric the second is better, over the people that it counts."""
    labelled = before.exam.labelled
    skeleton = labelled.skeleton
    columns = [k for k, joint in enumerate(skeleton.joints) if joint not in skeleton.mean_omits]
    was, now = (hits_of(of.keypoints_img, of.skeleton, labelled, metric) for of in (before, after))
    found = (now.found[:, columns].sum(1), was.found[:, columns].sum(1))
    return PairedBootstrap(was.counted[:, columns].sum(1)).difference(*(f[None] for f in found))


def _speed(original: Latency, own: Latency) -> Speed:
    return Speed(
        device=own.device,
        provider=own.provider,
        batch=own.batch,
        fp32_ms=original.median_ms,
        times=round(original.median_ms / own.median_ms, 3),
    )


def _source(exam: Exam) -> Source:
    name = exam.labelled.name
    people = len(exam.labelled.people)
    return Source(name=name, people=people, fingerprint=exam.fingerprint, terms=terms_of(name))


def _licences(original: Receipt, ranges: Source | None) -> tuple[Licence, ...]:
    """The original's chain, with whose crops the ranges came from where that is another set."""
    chain = original.licences
    if ranges is None or f"data {ranges.name}" in {link.of for link in chain}:
        return chain
    return (*chain[:-1], Licence(of=f"data {ranges.name}", terms=ranges.terms), chain[-1])


def keep_full(source: Path, target: Path, exams: Sequence[Exam]) -> Receipt:
    """A float32 student's file as it is, and its receipt beside it with these people added.

    Raises ModelUnusable, ReceiptUnusable.
    """
    receipt = _receipt_of(source)
    told = _chosen_on(receipt)
    predictor = Predictor(source)
    again = [
        sat(predictor, exam, flip_test=False).accuracy(chosen_on=exam.fingerprint in told)
        for exam in exams
    ]
    new = {(of.fingerprint, of.flip_test) for of in again}
    kept = [a for a in measured(receipt.accuracy) if (a.fingerprint, a.flip_test) not in new]
    receipt = receipt.model_copy(update={"accuracy": (*kept, *again) or NOT_MEASURED})
    with replaced(target) as file:
        file.write(source.read_bytes())
    write_receipt(beside(target), receipt)
    return receipt
