"""`okdhp export` in fewer bits: the file, its receipt, and what it costs, in one breath."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from model.errors import ConfigError
from model.predictor import Predictor
from model.receipt import beside, read_receipt

Command = Callable[..., Result]


def test_a_run_s_branch_is_exported_in_int8(
    command: Command, small_run: Path, tmp_path: Path
) -> None:
    """On the people that the run learnt from and was judged on; also one it did not export."""
    out = tmp_path / "b-int8.onnx"

    told = command("export", small_run, "--branch", "b", "--variant", "int8", "--out", out)

    assert told.exit_code == 0, told.stderr
    assert f"wrote {out} and b-int8.receipt.json: b, int8, mpii16, 32 × 32" in told.stdout
    assert "pck@0.2 on synthetic: " in told.stdout
    assert "× as fast as fp32" in told.stdout
    assert (Predictor(out).card.branch, Predictor(out).card.precision) == ("b", "int8")
    against = read_receipt(beside(out)).against_fp32
    assert against is not None
    assert against.ranges is not None
    assert (against.ranges.people, against.changes[0].people) == (24, 6)


def test_a_file_is_made_into_fp16(command: Command, small_run: Path, tmp_path: Path) -> None:
    """Beside it lies the receipt that tells where it came from."""
    file, out = small_run / "students" / "a.onnx", tmp_path / "a-fp16.onnx"

    told = command("export", file, "--variant", "fp16", "--data", "synthetic:6", "--out", out)

    assert told.exit_code == 0, told.stderr
    assert Predictor(out).card.precision == "fp16"
    assert read_receipt(beside(out)).data == read_receipt(beside(file)).data


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["a.onnx"], "--variant: a file is exported already; accepted: fp16 or int8"),
        (["a.onnx", "--variant", "fp16"], "measure: is missing"),
        (["a.onnx", "--variant", "fp16", "--branch", "b"], "a file is exported already"),
        (["", "--calibrate", "synthetic"], "calibrate: is of no use for fp32"),
        (
            ["", "--variant", "int8", "--data", "synthetic", "--calibrate", "synthetic"],
            "calibrate: shares people",
        ),
    ],
)
def test_what_makes_no_sense_is_told(
    command: Command, small_run: Path, options: list[str], fault: str
) -> None:
    """Before anything is written."""
    what, *rest = options
    with pytest.raises(ConfigError, match=fault):
        command("export", small_run / "students" / what if what else small_run, *rest)
