"""A student held to its receipt: nothing differs in an honest one, and every lie is found."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from model.data.mixture import open_source
from model.data.readers import LabelledSet
from model.data.synthetic import draw_people
from model.evidence import Exam, prepared
from model.receipt import NOT_MEASURED, Gain, Latency, Receipt, beside, read_receipt
from model.skeletons import MPII16
from model.training.outcome.ship import parity_of
from model.verify import Check, verify


@pytest.fixture(scope="module")
def path(finished_run) -> Path:
    return finished_run.student("slim")


@pytest.fixture(scope="module")
def receipt(path: Path) -> Receipt:
    return read_receipt(beside(path))


@pytest.fixture(scope="module")
def exam(finished_run) -> Exam:
    """The run's own validation people."""
    return prepared(open_source(finished_run.config.data.valid[0]), (96, 64), 0.05)


def verdicts(checks: list[Check]) -> dict[str, str]:
    return {check.what: check.verdict for check in checks}


def differing(checks: list[Check]) -> list[str]:
    return [check.what for check in checks if check.verdict == "differs"]


def test_an_honest_receipt_holds(finished_run, path: Path, receipt: Receipt, exam: Exam):
    """Everything that can be computed again comes out the same, on the people it is told of."""
    parity = parity_of(finished_run.folder, path, [exam])

    found = verdicts(verify(path, receipt, [exam], parity=parity))

    assert found.pop("gain over the same student alone") == "told"
    assert {found.pop(f"latency, cpu, batch {n}") for n in (1, 8)} == {"told"}
    assert set(found.values()) == {"same"}
    assert {
        "SHA-256",
        "parameters",
        "multiply-accumulates of a crop",
        "card: branch",
        "card: pck@0.2 on synthetic",
        "pck@0.2 on synthetic",
        "calibration error on synthetic",
        "parity with PyTorch on synthetic",
    } <= found.keys()


def changed(receipt: Receipt, place: str, value: Any) -> Receipt:
    """The receipt with another value at a dotted place."""
    tree = receipt.model_dump(mode="json")
    at: Any = tree
    *parents, last = [int(part) if part.isdigit() else part for part in place.split("/")]
    for part in parents:
        at = at[part]
    at[last] = value(at[last]) if callable(value) else value
    return Receipt.model_validate(tree)


@pytest.mark.parametrize(
    ("place", "value", "what"),
    [
        ("file/sha256", "0" * 64, "SHA-256"),
        ("file/bytes", lambda n: n + 1, "bytes"),
        ("file/opset", 17, "needs"),
        ("file/numbers", lambda n: n - 1, "numbers in the file"),
        ("cost/parameters", lambda n: n // 2, "parameters"),
        ("cost/macs", lambda n: n // 2, "multiply-accumulates of a crop"),
        ("branch", "wide", "card: branch"),
        ("run", "another", "card: run"),
        ("cost/crop_px", [96, 96], "card: crop"),
        ("data/train/0/name", "lsp:train", "card: learnt from"),
        ("calibration/0/ece", lambda e: e / 2, "calibration error on synthetic"),
    ],
)
def test_every_claim_that_is_not_so_is_found(
    path: Path,
    receipt: Receipt,
    exam: Exam,
    place: str,
    value: Any,
    what: str,
):
    """And nothing else is blamed for it."""
    checks = verify(path, changed(receipt, place, value), [exam])

    assert differing(checks) == [what]


def test_a_better_accuracy_than_found_is_told_in_points(path: Path, receipt: Receipt, exam: Exam):
    """The card in the file still tells the old one."""
    boast = changed(receipt, "accuracy/0/metrics/pck@0.2/value", lambda v: v + 2)

    checks = verify(path, boast, [exam])

    assert differing(checks) == ["card: pck@0.2 on synthetic", "pck@0.2 on synthetic"]
    told = next(check for check in checks if check.what == "pck@0.2 on synthetic")
    assert told.found.endswith(", -2.00")


def test_another_processor_s_rounding_is_no_lie(path: Path, receipt: Receipt, exam: Exam):
    """Of a thousand joints one may fall on the other side of the threshold."""
    near = changed(receipt, "accuracy/0/metrics/pck@0.2/value", lambda v: v + 0.09)

    assert differing(verify(path, near, [exam])) == []


def test_a_metric_that_is_not_to_be_had_is_found_out(path: Path, receipt: Receipt, exam: Exam):
    """Drawn figures have no areas, so that AP cannot have been measured on them."""
    invented = changed(receipt, "accuracy/0/metrics", lambda m: m | {"AP": {"value": 0.9}})

    assert differing(verify(path, invented, [exam])) == ["AP on synthetic"]


def test_a_network_that_drifted_from_its_file_is_found(
    finished_run, path: Path, receipt: Receipt, exam: Exam
):
    """As when `best.pt` is not the one that the file was exported from."""
    (held,) = parity_of(finished_run.folder, path, [exam])
    drifted = held.model_copy(update={"share_moved_half_a_px": 0.02, "largest_px": 12.5})

    checks = verify(path, receipt, [exam], parity=[drifted])

    assert differing(checks) == ["parity with PyTorch on synthetic"]


def test_without_people_their_claims_are_left_open(path: Path, receipt: Receipt):
    """Not checked is not the same as right."""
    found = verdicts(verify(path, receipt, []))

    assert found["pck@0.2 on synthetic"] == "not checked"
    assert found["calibration error on synthetic"] == "not checked"
    assert found["parity with PyTorch on synthetic"] == "not checked"
    assert found["SHA-256"] == found["card: pck@0.2 on synthetic"] == "same"


def test_other_people_are_told_of_and_held_to_nothing(path: Path, receipt: Receipt):
    """They are no evidence against a claim about others, of the same name even."""
    people = draw_people(12, seed=77, size_px=96)
    others = prepared(LabelledSet("synthetic", MPII16, people, ""), (96, 64), 0.05)

    checks = verify(path, receipt, [others])

    told = next(check for check in checks if check.what == "pck@0.2 on synthetic, 12 people")
    assert (told.claimed, told.verdict) == ("nothing of these people", "told")
    assert verdicts(checks)["pck@0.2 on synthetic"] == "not checked"
    assert differing(checks) == []


def test_a_file_whose_weights_were_changed_is_found(
    path: Path, receipt: Receipt, exam: Exam, tmp_path: Path
):
    """By its hash, and by what it answers."""
    model = onnx.load(path)
    weight = next(w for w in model.graph.initializer if w.name.endswith("score.weight"))
    noise = np.random.default_rng(0).normal(size=tuple(weight.dims)).astype(np.float32)
    weight.CopyFrom(numpy_helper.from_array(noise, weight.name))
    (tmp_path / "slim.onnx").write_bytes(model.SerializeToString())

    found = differing(verify(tmp_path / "slim.onnx", receipt, [exam]))

    assert found[0] == "SHA-256"
    assert "pck@0.2 on synthetic" in found
    assert "parameters" not in found


def test_latency_is_told_beside_the_claim(path: Path, receipt: Receipt):
    """It is of the machine as much as of the student: nothing is held to it."""
    here = Latency(device="abacus", provider="cpu", threads=1, batch=1, median_ms=1e6)

    checks = verify(path, receipt, [], latency=[here])

    single = next(check for check in checks if check.what == "latency, cpu, batch 1")
    assert (single.found, single.verdict) == ("1000000.00 ms", "told")
    assert "another machine" in single.claimed


def test_what_is_not_claimed_is_told_as_not_measured(path: Path, receipt: Receipt):
    """It must not look like what holds; the latency here is told all the same."""
    names = ("accuracy", "calibration", "parity", "latency")
    bare = receipt.model_copy(update=dict.fromkeys(names, NOT_MEASURED))
    here = Latency(device="abacus", provider="cpu", threads=1, batch=1, median_ms=2)

    told = {
        check.what: (check.claimed, check.found)
        for check in verify(path, bare, [], latency=[here])
        if check.verdict == "told"
    }

    assert told == {
        "accuracy": (NOT_MEASURED, ""),
        "calibration": (NOT_MEASURED, ""),
        "parity with PyTorch": (NOT_MEASURED, ""),
        "latency, cpu, batch 1": (NOT_MEASURED, "2.00 ms"),
        "gain over the same student alone": (NOT_MEASURED, ""),
    }


def test_a_gain_is_left_to_a_comparison(path: Path, receipt: Receipt):
    """It takes the same student trained alone, several times."""
    gain = Gain(
        metric="pck@0.2",
        points=1.25,
        interval_95=(-0.5, 3.0),
        seeds=(0, 1),
        data="lsp:valid",
        source="comparison",
    )

    checks = verify(path, receipt.model_copy(update={"gain": gain}), [])

    told = next(check for check in checks if check.what == "gain over none")
    assert told.claimed == "+1.2 (-0.5…+3.0) pck@0.2 on lsp:valid"
    assert told.verdict == "not checked"
    assert receipt.gain == NOT_MEASURED
