"""`okdhp choose`: a table, a picture, and the best branch within the budget."""

from pathlib import Path

from model.predictor import Predictor
from model.receipt import beside, read_receipt


def test_the_best_within_the_budget_is_exported(command, small_run: Path, tmp_path: Path):
    """With a receipt whose latency is of this machine."""
    target = tmp_path / "mine.onnx"
    done = command(
        *("choose", small_run, "--latency-ms", 1000, "--data", "synthetic:8", "--out", target)
    )

    assert done.exit_code == 0
    receipt = read_receipt(beside(target))
    assert Predictor(target).card.branch == receipt.branch
    assert f"wrote {target} and mine.receipt.json: {receipt.branch}" in done.stdout
    assert done.stdout.count("chosen") == 1
    for branch in ("a", "b"):
        assert f"│ {branch} " in done.stdout
    assert (small_run / "choice.png").stat().st_size > 1000
    assert receipt.latency[0].median_ms > 0


def test_where_none_is_fast_enough_the_nearest_is_named(command, small_run: Path, tmp_path: Path):
    """Nothing is written that does not keep the budget."""
    target = tmp_path / "mine.onnx"
    done = command("choose", small_run, "--latency-ms", 0.001, "--out", target)

    assert done.exit_code == 1
    assert "no branch takes 0.001 ms or less here: the fastest is" in done.stderr
    assert "chosen" not in done.stdout
    assert not target.exists()
