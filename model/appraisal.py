"""A receipt for a student that came without one: what its file tells, and what is measured here."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from model.data.terms import terms_of
from model.evidence import Exam, latencies, sat
from model.onnx_file import contents_of
from model.predictor import Predictor
from model.provenance import code_licence
from model.receipt import (
    NOT_MEASURED,
    CostFacts,
    Data,
    Licence,
    Made,
    Receipt,
    ScoreMap,
    Source,
)


def appraise(path: Path, exams: Sequence[Exam], *, flip_test: bool = False) -> Receipt:
    """Accuracy and calibration on the given sets, cost by the file's contents, latency here.

    Where and of what it was made only its card says; gain and parity take the run. Sets that the
    card tells figures of are those on which its epoch was chosen. Raises ModelUnusable.
    """
    predictor, found = Predictor(path), contents_of(path)
    card = predictor.card
    answered = [sat(predictor, exam, flip_test=flip_test) for exam in exams]
    told = [calibration for of in answered if (calibration := of.calibration()) is not None]
    judged = {exam.labelled.name: exam for exam in exams if exam.labelled.name in card.metrics}
    learnt = dict.fromkeys(card.data)  # a set may count twice
    return Receipt(
        name=path.stem,
        branch=card.branch,
        run=card.run,
        file=found.facts(),
        cost=CostFacts(crop_px=card.size, parameters=found.parameters, macs=found.macs),
        gain=NOT_MEASURED,
        parity=NOT_MEASURED,
        accuracy=tuple(
            of.accuracy(chosen_on=of.exam.labelled.name in card.metrics) for of in answered
        )
        or NOT_MEASURED,
        calibration=tuple(told) or NOT_MEASURED,
        latency=tuple(latencies([path])[0]),
        score_map=None if card.calibration is None else ScoreMap.model_validate(card.calibration),
        data=Data(
            train=tuple(_source(name, None) for name in card.data),
            valid=tuple(_source(name, judged.get(name)) for name in card.metrics),
        ),
        licences=(
            Licence(of="code", terms=code_licence()),
            *(Licence(of=f"data {name}", terms=terms_of(name)) for name in learnt),
            Licence(of="this student, as its owner states", terms=card.licence),
        ),
        config=None,
        made=Made(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            code=None,
            command=None,
            python=None,
            packages=None,
        ),
    )


def _source(name: str, exam: Exam | None) -> Source:
    return Source(
        name=name,
        people=None if exam is None else len(exam.labelled.people),
        fingerprint=None if exam is None else exam.fingerprint,
        terms=terms_of(name),
    )
