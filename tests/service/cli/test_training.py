"""`okdhp train`, `evaluate` and `export` with a real run of seconds."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.predictor import Predictor

SMALL = (
    "network.width=8",
    "network.depth=1",
    "data.crop_px=[32,32]",
    "training.batch_size=8",
)


def okdhp(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished run, and what the command said of it in `said.txt`."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    done = okdhp(
        *("train", "--preset", "tiny", "--data", "synthetic:24", "--out", folder),
        *(*SMALL, "training.epochs=2"),
    )
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout + done.stderr)
    yield folder


def test_a_training_says_how_it_goes_and_leaves_a_student(run: Path) -> None:
    """A line an epoch where there is no terminal, and the folder at the end."""
    said = (run / "said.txt").read_text()

    assert "24 people to learn from, 2 to judge on, on cpu" in said
    assert "epoch 1: loss" in said
    assert "epoch 2: loss" in said
    assert "pck@0.2 branch0" in said
    assert f"finished: {run}" in said
    assert list((run / "students").glob("*.onnx"))


def test_a_folder_that_holds_a_run_is_not_written_over(run: Path) -> None:
    """Hours of work lie there."""
    again = okdhp("train", "--preset", "tiny", "--data", "synthetic:24", "--out", run, *SMALL)

    assert again.returncode == 2
    assert "already holds a run" in again.stderr


def test_a_run_is_measured_branch_by_branch(run: Path, tmp_path: Path) -> None:
    """Side by side with the ensemble."""
    file = tmp_path / "result.json"
    done = okdhp("evaluate", run, "--data", "synthetic:6", "--json", file)

    assert done.returncode == 0, done.stderr
    for column in ("branch0", "branch1", "ensemble"):
        assert column in done.stdout
    assert {"branch0", "branch1", "ensemble", "protocol"} <= set(json.loads(file.read_text()))


def test_any_branch_can_be_exported(run: Path, tmp_path: Path) -> None:
    """Also another than the best."""
    done = okdhp("export", run, "--branch", "branch1", "--out", tmp_path / "b.onnx")

    assert done.returncode == 0, done.stderr
    assert Predictor(tmp_path / "b.onnx").card.branch == "branch1"


def test_an_unknown_branch_is_told_the_known_ones(run: Path) -> None:
    """They have names, not numbers."""
    done = okdhp("export", run, "--branch", "2")

    assert done.returncode == 2
    assert "accepted: branch0, branch1" in done.stderr


def test_a_stopped_training_goes_on_where_it_was(tmp_path: Path) -> None:
    """Ctrl-C and TERM save a checkpoint; the command that goes on stands in the last line."""
    folder = tmp_path / "run"
    first = stopped_at_an_epoch(
        *("--preset", "tiny", "--data", "synthetic:24", "--out", folder),
        *(*SMALL, "training.epochs=2000"),
        number=signal.SIGINT,
    )
    # With --resume alone the run's own configuration counts.
    second = stopped_at_an_epoch("--out", folder, "--resume", number=signal.SIGTERM)

    done = [line for line in first if line.startswith("epoch")]
    assert first[-1] == f"stopped; go on with: okdhp train --out {folder} --resume"
    assert done[0].startswith("epoch 1:")
    next_ = next(line for line in second if line.startswith("epoch"))
    assert next_.startswith(f"epoch {len(done) + 1}:")


def stopped_at_an_epoch(*arguments: object, number: signal.Signals) -> list[str]:
    """What a training says that gets a signal after its first epoch."""
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "train", *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        if line.startswith("epoch") and not any(said.startswith("epoch") for said in lines):
            process.send_signal(number)
        lines.append(line.rstrip())
    assert process.wait(60) == 128 + number
    return lines


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "paper-mpii, "),
        (["--preset", "tinny"], "did you mean tiny?"),
        (["--preset", "tiny", "training.epoch=3"], "did you mean training.epochs?"),
        (["--preset", "tiny", "training.epochs=0"], "training.epochs: found 0"),
        (["--preset", "tiny", "nonsense.yaml"], "several were given"),
        (["nothing.yaml"], "nothing.yaml: cannot be read"),
        (["--preset", "tiny", "--data", "lsp:/nowhere"], "lsp"),
        (["--preset", "tiny", "--data", "lsp"], "found 'lsp'"),
        (["--preset", "paper-mpii"], "data.train: is missing; accepted: --data FORMAT:PATH"),
        (["--preset", "tiny", "training.init=/nowhere"], "training.init: there is no /nowhere"),
        (["--preset", "tiny", "training.init=gopher://a"], "gopher://a cannot be fetched"),
        (["--from", "nothing"], "--from: there is no run nothing; accepted: a run's folder"),
        (["--from", "gopher://a", "--resume", "--out", "x"], "neither --resume nor --dry-run"),
        (["--out", "/nowhere/run", "--resume"], "config.yaml: cannot be read"),
        (["--resume"], "--resume needs --out"),
    ],
)
def test_a_wrong_command_is_refused_before_anything_is_made(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    """Exit code 2, the faults, and no trace."""
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "train", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )

    assert done.returncode == 2, done.stderr
    assert words in done.stderr.replace("│", "").replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_dry_run_prints_what_would_be_done(tmp_path: Path) -> None:
    """As YAML that can be edited and given back."""
    first = okdhp("train", "--preset", "tiny", "training.epochs=3", "--dry-run")
    (tmp_path / "mine.yaml").write_text(first.stdout)

    second = okdhp("train", tmp_path / "mine.yaml", "--dry-run")

    assert "epochs: 3" in first.stdout
    assert second.stdout == first.stdout
    assert "branch1, deployed" in first.stderr
    assert "186 in 3 epochs" in first.stderr


def test_labels_are_audited_by_a_run(run: Path, tmp_path: Path) -> None:
    """A line a set, four files, and a word where the run knows the labels already."""
    done = okdhp("data", "audit", run, "synthetic:24", "--out", tmp_path / "audit", "--top", 2)

    assert done.returncode == 0, done.stderr
    assert "synthetic: of " in done.stdout
    assert "synthetic: 24 of 24 people were learnt from by every run" in done.stdout
    names = {file.name for file in (tmp_path / "audit").iterdir()}
    assert names == {"audit.csv", "audit.json", "audit.png", "weights.npz"}


def test_an_audit_of_nothing_is_refused_in_a_line(run: Path, tmp_path: Path) -> None:
    """A run or a set that is not there."""
    for arguments, fault in (
        ((tmp_path / "gone", "synthetic:4"), "okdhp: RUN: there is no run"),
        ((run, "lsp"), "okdhp: SOURCE: found 'lsp'"),
        ((run, f"lsp:{tmp_path}"), "joints.mat"),
    ):
        done = okdhp("data", "audit", *arguments, "--out", tmp_path / "audit")

        assert done.returncode == 2
        assert fault in done.stderr
        assert len(done.stderr.splitlines()) == 1
