"""`okdhp verify` on a run's student, on one without a receipt, and on a registered one."""

import json
import shutil
from pathlib import Path

import pytest

from model.errors import ModelUnusable, ReceiptUnusable
from model.predictor import BUNDLED
from model.receipt import NOT_MEASURED, beside, read_receipt
from worker.errors import ModelNotFound


@pytest.fixture
def student(small_run: Path, tmp_path: Path) -> Path:
    """A student's file somewhere else, with its receipt."""
    for path in (small_run / "students" / "a.onnx", small_run / "students" / "a.receipt.json"):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / "a.onnx"


def test_a_run_s_student_is_held_to_its_receipt(command, small_run: Path):
    """In its run's folder everything is at hand: the people, and the network."""
    done = command("verify", small_run / "students" / "a.onnx")

    assert done.exit_code == 0
    assert "a.onnx against its receipt" in done.stdout
    for line in ("SHA-256", "pck@0.2 on synthetic", "parity with PyTorch on synthetic"):
        assert line in done.stdout
    assert "not checked" not in done.stdout
    assert "differs" not in done.stdout + done.stderr


def test_a_lie_ends_with_its_name_and_a_code(command, student: Path):
    """A script may ask for the code alone."""
    tree = json.loads(beside(student).read_text())
    tree["cost"]["parameters"] = 7
    beside(student).write_text(json.dumps(tree))

    done = command("verify", student)

    assert done.exit_code == 1
    assert "okdhp: differs: parameters" in done.stderr


def test_a_receipt_of_another_file_is_told(command, student: Path):
    """Before anybody believes the rest of it."""
    done = command("verify", student, "--receipt", beside(BUNDLED))

    assert done.exit_code == 1
    assert "okdhp: the receipt is of another file" in done.stderr


def test_a_file_without_a_receipt_says_how_to_get_one(command, student: Path):
    """`--make` measures what can be measured here; the next verify holds."""
    beside(student).unlink()

    with pytest.raises(ReceiptUnusable, match=r"no receipt a\.receipt\.json beside it.*--make"):
        command("verify", student)
    made = command("verify", student, "--make", "--data", "synthetic:8")

    assert f"wrote {beside(student)}" in made.stdout
    assert read_receipt(beside(student)).parity == NOT_MEASURED
    again = command("verify", student, "--data", "synthetic:8")
    assert again.exit_code == 0
    assert "not checked" not in again.stdout


@pytest.mark.skipif(not BUNDLED.is_file(), reason="no student is bundled")
def test_a_registered_student_is_verified_by_its_name(command, tmp_path: Path):
    """The bundled one, which every home has."""
    done = command("verify", "okdhp", "--home", tmp_path / "home")

    assert done.exit_code == 0
    assert "okdhp against its receipt" in done.stdout
    assert "card: branch" in done.stdout


def test_what_is_not_there_is_refused_by_name(command, tmp_path: Path):
    """A mistyped file, a file of another kind, an unknown model."""
    (tmp_path / "other.onnx").write_bytes(b"something else")
    shutil.copy(beside(BUNDLED), tmp_path / "other.receipt.json")

    with pytest.raises(ModelUnusable, match="there is no file"):
        command("verify", tmp_path / "gone.onnx")
    with pytest.raises(ModelUnusable, match=r"other\.onnx is not a model"):
        command("verify", tmp_path / "other.onnx")
    with pytest.raises(ModelNotFound, match="nobody"):
        command("verify", "nobody", "--home", tmp_path / "home")
