"""`okdhp train` that begins with something: weights by name, and runs to go on with."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from model.config import load_config
from model.errors import ConfigError
from model.predictor import BUNDLED
from service.cli.begin import config_of_run, copied_run, with_files
from worker.errors import DatasetNotFound


def okdhp(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def named(**training: str) -> dict[str, object]:
    return {"preset": "tiny", "training": training}


@pytest.mark.skipif(not BUNDLED.is_file(), reason="no student ships with this checkout")
@pytest.mark.parametrize("name", ["okdhp", "okdhp:1"])
def test_a_registered_model_is_a_file_of_the_home(tmp_path: Path, name: str) -> None:
    """The student that ships is registered where nothing is yet."""
    found = with_files(load_config(named(init=name)), tmp_path / "home").training.init

    assert found is not None
    assert Path(found).is_relative_to(tmp_path / "home")
    assert Path(found).read_bytes() == BUNDLED.read_bytes()


def test_a_path_counts_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is right there; the run's folder is named wherever the training stands later."""
    (tmp_path / "okdhp" / "checkpoints").mkdir(parents=True)
    (tmp_path / "okdhp" / "checkpoints" / "best.pt").touch()
    monkeypatch.chdir(tmp_path)

    config = with_files(load_config(named(init="okdhp")), tmp_path / "home")

    assert config.training.init == str(tmp_path / "okdhp")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("init", "words"),
    [
        ("nothing", "training.init: there is no model 'nothing'; accepted: a registered model"),
        ("no/where", "training.init: there is no no/where; accepted: a path, a URL, a registered"),
        ("memory://nowhere", "training.init: there is no memory://nowhere; accepted: a run's"),
    ],
)
def test_what_is_not_there_is_told_with_what_may_be(tmp_path: Path, init: str, words: str) -> None:
    """Before a folder is made for the run."""
    with pytest.raises(ConfigError) as refusal:
        with_files(load_config(named(init=init)), tmp_path / "home")

    assert str(refusal.value).startswith(words)


def test_a_training_that_goes_on_does_not_look_for_its_beginning(tmp_path: Path) -> None:
    """Its weights are in the checkpoint; the file may be deleted after the first epoch."""
    config = load_config(named(init=str(tmp_path / "gone.onnx")))

    assert with_files(config, tmp_path / "home", goes_on=True) == config


def test_data_sets_are_known_by_their_names(tmp_path: Path) -> None:
    """As jobs know them; a preset that names one which is not registered is told what is."""
    source = [{"dataset": "mine"}]
    config = load_config({"preset": "tiny", "data": {"train": source, "valid": source}})

    with pytest.raises(DatasetNotFound, match="there is no data set 'mine'; there are: none"):
        with_files(config, tmp_path / "home")


JOB = "0b9c57b4-8f5c-4b35-a5a0-6a3b1a6f0001"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job's run folder whose training has one of two epochs left."""
    from model.training.run import train as train_run  # torch takes its time: not at collection

    source = [{"format": "synthetic", "people": 16, "size_px": 64}]
    config = load_config(
        {
            "preset": "tiny",
            "data": {"train": source, "valid": source, "crop_px": [32, 32]},
            "network": {"width": 8, "depth": 1},
            "training": {"epochs": 2, "batch_size": 8},
        }
    )
    folder = tmp_path_factory.mktemp("home") / "runs" / JOB
    steps = iter(range(2))  # of one epoch
    train_run(config, folder, device="cpu", stop=lambda: next(steps, None) is None)
    return folder


@pytest.mark.parametrize("how", ["path", "name", "url", "id", "checkpoint"])
def test_a_run_is_copied_from_wherever_it_is_known(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Its folder, its name in runs/, a URL, a job's id, or its last checkpoint alone."""
    alone = shutil.copy(stopped / "checkpoints" / "last.pt", tmp_path / "alone.pt")
    names = {"path": str(stopped), "name": JOB, "url": f"file://{stopped}"}
    named = (names | {"id": JOB, "checkpoint": str(alone)})[how]
    monkeypatch.chdir(stopped.parents[1] if how == "name" else tmp_path)
    home = tmp_path if how == "name" else stopped.parents[1]

    with copied_run(named, tmp_path / "mine", home):
        config = load_config(config_of_run(tmp_path / "mine"))

    assert config == load_config(config_of_run(stopped))
    copy = tmp_path / "mine" / "checkpoints" / "last.pt"
    assert copy.read_bytes() == (stopped / "checkpoints" / "last.pt").read_bytes()
    assert copy.with_name("best.pt").exists() is (how != "checkpoint")


def test_a_run_is_gone_on_with_by_its_last_checkpoint_alone(stopped: Path, tmp_path: Path) -> None:
    """The best epoch before it is not at hand: the best of what follows is exported."""
    done = okdhp("train", "--from", stopped / "checkpoints" / "last.pt", "--out", tmp_path / "mine")

    assert done.returncode == 0, done.stderr
    epochs = [line for line in done.stderr.splitlines() if line.startswith("epoch")]
    assert [line.partition(":")[0] for line in epochs] == ["epoch 2"]
    assert list((tmp_path / "mine" / "students").glob("*.onnx"))


def test_a_run_is_not_copied_over_another(stopped: Path, tmp_path: Path) -> None:
    """What lies in a folder is somebody's work."""
    (tmp_path / "mine").mkdir()

    with (
        pytest.raises(ConfigError, match=r"--out: .*mine is there already; accepted: a new folder"),
        copied_run(str(stopped), tmp_path / "mine", None),
    ):
        pass


def test_a_copy_whose_command_is_refused_is_gone_again(stopped: Path, tmp_path: Path) -> None:
    """The corrected command finds the place free."""
    with (
        pytest.raises(ConfigError, match=r"did you mean training\.epochs\?"),
        copied_run(str(stopped), tmp_path / "mine", None),
    ):
        load_config(config_of_run(tmp_path / "mine") | {"training": {"epoch": 4}})

    assert not list(tmp_path.iterdir())
