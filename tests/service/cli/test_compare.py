"""`okdhp compare` with real runs of seconds: interrupted, finished, added to, refused."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.predictor import Predictor
from model.receipt import read_receipt

SMALL = (
    "network.width=8",
    "network.depth=1",
    "network.branches=[{stacks: 1}]",  # each that is exported takes seconds
    "data.crop_px=[32,32]",
    "training.batch_size=8",
    "training.epochs=30",
    "data.train=[{format: synthetic, people: 16, seed: 1, size_px: 64}]",
    "data.valid=[{format: synthetic, people: 8, seed: 2, size_px: 64}]",
)
WHAT = ("--preset", "tiny", "--schemes", "none,okdhp", "--seeds", "2", "--no-alone")
CELLS = ("none-s0", "okdhp-s0", "none-s1", "okdhp-s1")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "service.cli", "compare", *map(str, arguments)]


def okdhp(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two schemes × two seeds, interrupted in the first run and then finished."""
    folder = tmp_path_factory.mktemp("comparisons") / "small"
    process = subprocess.Popen(
        command(*WHAT, "--out", folder, *SMALL), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith("none-s0: epoch 1,"):
            process.send_signal(signal.SIGINT)
    assert process.wait(60) == 128 + signal.SIGINT
    assert said[-1].startswith(f"stopped; go on with: okdhp compare --out {folder}")
    assert not (folder / "okdhp-s1").exists()
    # The folder knows the rest.
    done = okdhp("--out", folder, "--workers", "2")
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout + done.stderr)
    yield folder


def test_an_interrupted_comparison_goes_on_where_it_stood(compared: Path) -> None:
    """No epoch is trained twice, and no run begins anew."""
    for cell in CELLS:
        events = [
            json.loads(line) for line in (compared / cell / "events.jsonl").read_text().splitlines()
        ]
        epochs = [event["epoch"] for event in events if event["kind"] == "epoch"]
        assert epochs == list(range(1, 31)), cell
    begun = [e for e in _events(compared / "none-s0") if e["kind"] == "started"]
    assert [event["epoch"] > 0 for event in begun] == [False, True]


def test_it_leaves_the_table_the_pictures_and_the_winner(compared: Path) -> None:
    """In files, and the table on the screen."""
    said = (compared / "said.txt").read_text()
    found = json.loads((compared / "comparison.json").read_text())

    assert [line["row"] for line in found["lines"]] == ["none", "okdhp"]
    assert all(len(line["sets"]) == 1 for line in found["lines"])
    assert "to none (95 %)" in said
    assert "on 500 people of synthetic of seed 3" in said
    assert (compared / "bars.png").stat().st_size > 5000
    assert (compared / "curves.png").stat().st_size > 5000
    assert "| okdhp |" in (compared / "comparison.md").read_text()
    winner = found["winner"]
    assert Predictor(compared / "winner.onnx").card.branch == winner["branch"]
    assert read_receipt(compared / "winner.receipt.json").branch == winner["branch"]


def test_people_are_cut_out_once(compared: Path) -> None:
    """Four runs, one file."""
    assert len(list((compared / "cache").glob("*.npy"))) == 1


def test_the_winner_can_be_registered_later(compared: Path, tmp_path: Path) -> None:
    """Without training anything again."""
    done = okdhp("--out", compared, "--register", "best", "--home", tmp_path / "home")

    assert done.returncode == 0, done.stderr
    assert "registered best:1" in done.stdout
    assert "4 of 4 runs are there" in done.stderr


def test_what_is_missing_is_told_and_the_rest_is_compared(compared: Path, tmp_path: Path) -> None:
    """A comparison of days need not end before it is looked at."""
    part = tmp_path / "part"
    shutil.copytree(compared, part)
    shutil.rmtree(part / "okdhp-s1")

    done = okdhp("--out", part, "--gather")

    assert done.returncode == 1
    assert "missing: okdhp-s1: has not run" in done.stdout
    assert "to none (95 %)" in done.stdout


def test_runs_of_another_configuration_are_never_taken_for_these(compared: Path) -> None:
    """A table of mixed runs would look like any other."""
    done = okdhp(*WHAT, "--out", compared, *SMALL, "optim.lr=0.1", "--gather")

    assert done.returncode == 2
    assert "none-s0 is a run of another configuration" in done.stderr


def test_a_dry_run_can_be_given_back(tmp_path: Path) -> None:
    """As YAML on stdout; the runs on stderr."""
    first = okdhp(*WHAT, *SMALL, "--dry-run")
    (tmp_path / "mine.yaml").write_text(first.stdout)

    second = okdhp(tmp_path / "mine.yaml", "--dry-run")

    assert first.returncode == 0, first.stderr
    assert second.stdout == first.stdout
    for cell in CELLS:
        assert f"{cell}: " in first.stderr
    assert "4 runs" in first.stderr


def test_variants_layouts_and_budget_come_from_the_command_line_too(tmp_path: Path) -> None:
    """As `--schemes` does."""
    (tmp_path / "rows.yaml").write_text("hot: {scheme: {temperature: 4}}\n")
    (tmp_path / "shapes.yaml").write_text("twins: [{stacks: 1}, {stacks: 1}]\n")

    done = okdhp(
        *("--preset", "tiny", "--seeds", "3,5", "--variants", tmp_path / "rows.yaml"),
        *("--layouts", tmp_path / "shapes.yaml", "--budget", "device-time", "--minutes", "2"),
        *("--dry-run", *SMALL),
    )

    assert done.returncode == 0, done.stderr
    for cell in ("hot-twins-s3", "alone-s5"):
        assert f"{cell}: " in done.stderr
    assert "device_minutes: 2.0" in done.stdout


@pytest.mark.parametrize("part", ["train", "valid", "report"])
def test_registered_sets_are_known_by_their_names(tmp_path: Path, part: str) -> None:
    """One that is not there is told before anything is trained, whatever it is for."""
    tree: dict[str, Any] = {
        "config": {"preset": "tiny", "data": {}},
        "schemes": ["none", "okdhp"],
        "report": [{"format": "synthetic", "people": 20, "seed": 3}],
    }
    (tree if part == "report" else tree["config"]["data"])[part] = [{"dataset": "places"}]
    (tmp_path / "comparison.yaml").write_text(json.dumps(tree))

    done = okdhp(tmp_path / "comparison.yaml", "--home", tmp_path / "home", "--dry-run")

    assert done.returncode == 2
    assert "there is no data set 'places'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "none was given"),
        (["--preset", "tiny"], "needs `schemes` or `variants`"),
        (["--preset", "tinny", "--schemes", "none"], "did you mean tiny?"),
        (["--preset", "tiny", "--schemes", "none,okdhq"], "did you mean okdhp?"),
        (["--preset", "tiny", "--schemes", "none", "--seeds", "two"], "--seeds: found 'two'"),
        (
            ["--preset", "tiny", "--schemes", "none", "training.epoch=1"],
            "did you mean training.epochs?",
        ),
        (["--preset", "tiny", "--schemes", "none", "--variants", "no.yaml"], "--variants: no.yaml"),
        (["--preset", "tiny", "--schemes", "none", "--report", "synthetic:9"], None),
        (
            ["--preset", "tiny", "--schemes", "none", "--budget", "device-time"],
            "needs `device_minutes`",
        ),
        (["--preset", "paper-mpii", "--schemes", "none"], "data.train: is missing"),
    ],
)
def test_a_wrong_command_is_refused_before_anything_is_made(
    tmp_path: Path, arguments: list[str], words: str | None
) -> None:
    """Exit code 2, the faults, and no trace."""
    done = subprocess.run(
        command(*arguments, "--dry-run"),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )

    assert not list(tmp_path.iterdir())
    assert "Traceback" not in done.stderr
    if words is None:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 2, done.stderr
        assert words in done.stderr


def _events(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
