"""The receipts that a run writes beside its students, and what they say later."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.config import load_config, read_config
from model.data.check import fingerprint
from model.data.mixture import open_source
from model.data.synthetic import draw_people
from model.evaluation import evaluate_student, summary
from model.files import sha256_of, write_json
from model.network.cost import student_cost
from model.predictor import Predictor
from model.receipt import NOT_MEASURED, Receipt, beside, read_receipt
from model.skeletons import MPII16
from model.training.outcome.finish import export_branch
from model.training.outcome.ship import licences_of
from model.training.outcome.trained import open_run, sources_of
from model.training.run import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def receipt(finished_run) -> Receipt:
    return read_receipt(beside(finished_run.student("slim")))


def test_every_student_is_held_to_pytorch_on_all_validation_people(finished_run):
    """Through the code that serves; below half a pixel, and no score changes."""
    for branch in ("wide", "slim"):
        (held,) = read_receipt(beside(finished_run.student(branch))).parity

        assert (held.data, held.people) == ("synthetic", 60)
        assert held.largest_px < 0.5
        assert held.share_moved_half_a_px == 0
        assert set(held.metric_change.values()) == {0.0}


def test_the_file_is_known_by_its_hash_and_costs_what_its_network_does(finished_run, receipt):
    """Whoever has the file can see whether the receipt is its."""
    path = finished_run.student("slim")
    network = open_run(finished_run.folder, CPU).learner.network

    cost = student_cost(network, 1, (96, 64))

    assert (receipt.file.sha256, receipt.file.bytes) == (sha256_of(path), path.stat().st_size)
    assert (receipt.cost.parameters, receipt.cost.macs) == (cost.parameters, cost.macs)
    assert receipt.cost.crop_px == (96, 64)
    assert finished_run.outcome.metrics["students"]["slim"] == {
        "file": "slim.onnx",
        "bytes": receipt.file.bytes,
        "receipt": "slim.receipt.json",
    }


def test_accuracy_is_the_file_s_own_with_its_interval(finished_run, receipt):
    """Not PyTorch's; and it is told that the epoch was chosen on the same people."""
    labelled = open_source(finished_run.config.data.valid[0])
    expected = evaluate_student(Predictor(finished_run.student("slim")), labelled)

    (told,) = receipt.accuracy

    found = {name: figure.value for name, figure in told.metrics.items()}
    assert found == summary(expected)
    low, high = told.metrics["pck@0.2"].interval_95
    assert (low, high) == pytest.approx(expected["pck@0.2"]["mean_95"], abs=1e-3)
    assert (told.people, told.fingerprint) == (60, fingerprint(labelled))
    assert (told.chosen_on, told.flip_test) == (True, False)
    assert told.answered_by == "ONNX Runtime, cpu"


def test_scores_are_held_to_what_is_found(receipt):
    """Ten bins of the score over every joint that counts for PCK."""
    (told,) = receipt.calibration

    assert (told.tolerance, len(told.bins)) == ("pck@0.2", 10)
    assert sum(b.joints for b in told.bins) == told.joints > 500
    error = sum(b.joints * abs(b.score - b.found) for b in told.bins if b.joints) / told.joints
    assert told.ece == pytest.approx(error, abs=1e-3)
    assert all(b.low <= b.score <= b.high for b in told.bins if b.joints)


def test_latency_is_told_with_what_it_was_measured_on(receipt):
    """A number of milliseconds without its machine says nothing."""
    cpu = [latency for latency in receipt.latency if latency.provider == "cpu"]

    assert [latency.batch for latency in cpu] == [1, 8]
    assert all(latency.median_ms > 0 for latency in cpu)
    assert all(latency.device and latency.threads for latency in cpu)
    assert cpu[0].median_ms < cpu[1].median_ms


def test_what_nobody_measured_says_so(receipt):
    """A gain takes the same student trained alone, and several seeds."""
    assert receipt.gain == NOT_MEASURED


def test_the_receipt_says_what_the_student_is_made_of(finished_run, receipt):
    """Data with fingerprints and terms, the chain of licences, config, code and command."""
    (learnt,) = receipt.data.train
    assert (learnt.name, learnt.people) == ("synthetic", 400)
    assert learnt.fingerprint == fingerprint(open_source(finished_run.config.data.train[0]))
    assert [licence.of for licence in receipt.licences] == [
        "code",
        "data synthetic",
        "this student, as its owner states",
    ]
    assert receipt.licences[-1].terms == finished_run.config.export.licence
    assert load_config(receipt.config) == finished_run.config
    assert receipt.made.code.startswith("0.1.0 (")
    assert receipt.made.packages["torch"] == torch.__version__
    assert (receipt.name, receipt.branch, receipt.run) == ("student", "slim", "learning")


def test_whoever_taught_or_began_it_is_in_the_chain(finished_run):
    """Their terms come along with their weights."""
    run = open_run(finished_run.folder, CPU)
    init = {"run": "older", "data": ["mpii:train"], "licence": "research only"}
    teacher = {"sha256": "ab" * 32, "branch": "ensemble", "licence": "ours"}

    chain = licences_of(replace(run, manifest=run.manifest | {"init": init, "teacher": teacher}))

    assert [(link.of, link.terms) for link in chain[2:4]] == [
        ("initial weights: older, of mpii:train", "research only"),
        ("teacher: abababababab", "ours"),
    ]


def test_receipts_and_the_checkpoint_are_told_as_artifacts(finished_run):
    """A worker stores what is told; a checkpoint may teach or begin another run."""
    told = {e["name"]: e["path"] for e in finished_run.events if e["kind"] == "artifact"}

    assert told["slim.receipt.json"] == "students/slim.receipt.json"
    assert told["best.pt"] == "checkpoints/best.pt"


@pytest.fixture(scope="module")
def on_disk(make_config, write_coco, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on photographs in a folder whose name nobody should read; judged with flip test."""
    folder = tmp_path_factory.mktemp("secret")
    photos = write_coco(folder / "photos", draw_people(8, seed=5, size_px=64), MPII16)
    source = f"{{format: coco, path: {photos}, split: train}}"
    config = make_config(
        f"data.train=[{source}]",
        f"data.valid=[{source}]",
        "training.epochs=1",
        "evaluation.flip_test=true",
    )
    train(config, folder / "runs" / "mine", device="cpu")
    return folder / "runs" / "mine"


def test_nothing_that_leaves_a_run_tells_where_it_lay(on_disk: Path):
    """Checkpoint, receipt, manifest and file are for everybody who may ask."""
    leaving = [
        on_disk / "checkpoints" / "best.pt",
        on_disk / "manifest.json",
        *(on_disk / "students").iterdir(),
    ]

    assert len(leaving) == 4
    for path in leaving:
        assert b"secret" not in path.read_bytes(), path.name


def test_a_student_judged_with_its_mirror_is_told_so(on_disk: Path):
    """Its accuracy and calibration are of answers that took twice the time."""
    (student,) = (on_disk / "students").glob("*.onnx")
    labelled = open_source(load_config(read_config(on_disk / "config.yaml")).data.valid[0])
    expected = evaluate_student(Predictor(student), labelled, flip_test=True)

    receipt = read_receipt(beside(student))

    (told,) = receipt.accuracy
    assert told.flip_test
    assert told.metrics["pck@0.2"].value == summary(expected)["pck@0.2"]
    assert told.metrics["AP"].value == pytest.approx(summary(expected)["AP"], abs=1e-3)
    assert receipt.calibration[0].flip_test
    assert receipt.licences[1].terms.startswith("unknown: ")


# What is exported later


def test_what_the_run_shipped_already_keeps_its_receipt(finished_run, receipt, tmp_path: Path):
    """The same bytes: nothing needs to be measured again."""
    export_branch(finished_run.folder, "slim", tmp_path / "later.onnx")

    assert (tmp_path / "later.onnx").read_bytes() == finished_run.student("slim").read_bytes()
    assert read_receipt(tmp_path / "later.receipt.json") == receipt


@pytest.fixture
def copied(finished_run, tmp_path: Path) -> Path:
    """The run without its students."""
    folder = tmp_path / "learning"
    shutil.copytree(finished_run.folder, folder, ignore=shutil.ignore_patterns("students"))
    return folder


def test_a_branch_exported_without_photographs_tells_what_the_run_found(
    copied: Path, receipt, tmp_path: Path
):
    """PyTorch's figures, marked so; parity takes the photographs."""
    export_branch(copied, "slim", tmp_path / "later.onnx")

    later = read_receipt(tmp_path / "later.receipt.json")
    assert later.file == receipt.file
    assert later.parity == later.calibration == NOT_MEASURED
    (told,) = later.accuracy
    assert told.answered_by == "PyTorch"
    assert told.fingerprint == receipt.accuracy[0].fingerprint
    assert told.metrics == receipt.accuracy[0].metrics
    assert later.latency != NOT_MEASURED


def test_figures_of_other_weights_are_not_claimed(copied: Path):
    """A run that went on after it had finished: its metrics are of a student that is gone."""
    assert open_run(copied, CPU).metrics["best"]
    metrics = json.loads((copied / "metrics.json").read_text())
    metrics["checkpoint"]["sha256"] = "0" * 64
    write_json(copied / "metrics.json", metrics)

    assert open_run(copied, CPU).metrics == {}


def test_of_a_checkpoint_alone_only_its_config_is_known(copied: Path, receipt):
    """As when somebody hands over `best.pt`: what it does not tell is left open."""
    for name in ("manifest.json", "metrics.json", "config.yaml"):
        (copied / name).unlink()

    run = open_run(copied, CPU)

    assert (run.manifest, run.metrics) == (None, {})
    assert run.config.network.branch_names == ("wide", "slim")
    (learnt,) = sources_of(run, "train")
    assert (learnt.name, learnt.people, learnt.fingerprint) == ("synthetic", None, None)
    assert [link.of for link in licences_of(run)] == [link.of for link in receipt.licences]
