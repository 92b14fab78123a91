"""A student in fewer bits, with what that costs and brings, held to its original."""

from pathlib import Path

import numpy as np
import pytest

from model.data.readers import LabelledSet
from model.data.synthetic import draw_people
from model.errors import ModelUnusable
from model.evidence import Exam, prepared, sat
from model.files import sha256_of
from model.onnx_file import contents_of
from model.precisions import Fewer
from model.predictor import Predictor
from model.receipt import NOT_MEASURED, beside, read_receipt
from model.skeletons import MPII16
from model.variants import make_variant
from model.verify import verify


def people(name: str, count: int, seed: int) -> Exam:
    drawn = draw_people(count, seed=seed, size_px=96)
    return prepared(LabelledSet(name, MPII16, drawn, ""), (96, 64), 0.05)


@pytest.fixture(scope="module")
def ranges() -> Exam:
    return people("ours", 20, seed=50)


@pytest.fixture(scope="module")
def judges() -> Exam:
    return people("others", 40, seed=51)


@pytest.fixture(scope="module", params=["fp16", "int8"])
def made(request, finished_run, ranges: Exam, judges: Exam, tmp_path_factory) -> Path:
    """A variant's file."""
    file = tmp_path_factory.mktemp("variants") / f"slim-{request.param}.onnx"
    precision: Fewer = request.param
    given = ranges if precision == "int8" else None
    make_variant(finished_run.student("slim"), precision, file, ranges=given, exams=[judges])
    return file


def test_what_fewer_bits_cost_is_counted_on_the_same_people(
    finished_run, made: Path, judges: Exam
) -> None:
    """The difference of both files' accuracy, within an interval, from answers that are given
    again here."""
    receipt, original = read_receipt(beside(made)), finished_run.student("slim")
    against = receipt.against_fp32
    assert against is not None
    assert against.sha256 == sha256_of(original)
    was, now = (
        sat(Predictor(file), judges, flip_test=False).accuracy(chosen_on=False).metrics
        for file in (original, made)
    )
    assert [change.metric for change in against.changes] == list(was)
    for change in against.changes:
        lost = now[change.metric].value - was[change.metric].value
        assert change.points == pytest.approx(lost, abs=2e-3)
        assert change.interval_95 is not None
        assert change.interval_95[0] <= change.points <= change.interval_95[1]
    own = [(of.provider, of.batch) for of in receipt.latency if of.provider == "cpu"]
    assert own == [(of.provider, of.batch) for of in against.speed if of.provider == "cpu"]


def test_the_rest_of_the_receipt_is_the_original_s(finished_run, made: Path) -> None:
    """What it learnt, where it came from; what was measured of the original is not its own."""
    receipt, before = (read_receipt(beside(f)) for f in (made, finished_run.student("slim")))

    assert (receipt.run, receipt.branch, receipt.cost) == (before.run, before.branch, before.cost)
    assert (receipt.data, receipt.config) == (before.data, before.config)
    assert receipt.parity == receipt.gain == NOT_MEASURED
    assert [of.data for of in receipt.accuracy] == ["others"]
    assert not receipt.accuracy[0].chosen_on
    assert Predictor(made).card.metrics["others"]["pck@0.2"] == (
        receipt.accuracy[0].metrics["pck@0.2"].value
    )


def test_whose_crops_the_ranges_came_from_is_told(made: Path, ranges: Exam) -> None:
    """In the receipt, and in the chain of licences; fp16 needs nobody's."""
    receipt = read_receipt(beside(made))
    against = receipt.against_fp32
    assert against is not None
    if against.precision == "fp16":
        assert against.ranges is None
        return
    assert against.ranges is not None
    assert (against.ranges.name, against.ranges.fingerprint) == ("ours", ranges.fingerprint)
    assert [link.of for link in receipt.licences][-2] == "data ours"


def test_it_is_the_same_network(finished_run, made: Path) -> None:
    """Counted from the file alone: as many parameters and multiplications."""
    found, before = contents_of(made), contents_of(finished_run.student("slim"))

    assert (found.parameters, found.macs) == (before.parameters, before.macs)
    assert (found.opset, found.foreign, found.external) == (18, (), False)


def test_a_variant_holds_when_it_is_verified(made: Path, judges: Exam) -> None:
    """As any other student; its card must say what it computes with."""
    receipt = read_receipt(beside(made))
    checks = verify(made, receipt, [judges])
    assert {check.verdict for check in checks} == {"same", "not checked", "told"}
    assert next(check.found for check in checks if check.what == "card: precision") in made.name

    lied = receipt.model_copy(update={"against_fp32": None})
    differ = [check.what for check in verify(made, lied, []) if check.verdict == "differs"]
    assert differ == ["card: precision"]


def test_a_student_in_fewer_bits_is_not_cut_again(
    made: Path, ranges: Exam, judges: Exam, tmp_path: Path
) -> None:
    """What it lost is lost: the float32 file is what to start from."""
    with pytest.raises(ModelUnusable, match=r"already; int8 takes fp32"):
        make_variant(made, "int8", tmp_path / "again.onnx", ranges=ranges, exams=[judges])


def test_flip_test_and_odd_batches_work(made: Path) -> None:
    """Every row may be mirrored, in a batch of any size."""
    crops = np.random.default_rng(0).integers(0, 256, (3, 96, 64, 3), np.uint8)
    found = Predictor(made).infer(crops, flip_test=np.array([True, False, True]))
    assert (found.shape, found.dtype) == ((3, 16, 3), np.float32)
