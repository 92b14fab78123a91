"""The commands as a person types them: what they print, and one clear line where they refuse."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from service.cli import main
from service.settings import ServiceSettings
from tests.service.telling import UNKNOWN, write_telling

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def okdhp(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process: exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["okdhp", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "120")
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture with a white pixel, on which the test's student finds every joint."""
    image = Image.new("RGB", (200, 120))
    image.putpixel((150, 40), (255, 255, 255))
    image.save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def lsp(tmp_path: Path) -> Path:
    """Three people in LSP's layout."""
    folder = tmp_path / "lsp"
    (folder / "images").mkdir(parents=True)
    joints = np.zeros((3, 14, 3))
    joints[0] = np.linspace(20, 40, 14)[:, None]
    joints[1] = np.linspace(10, 60, 14)[:, None]
    savemat(folder / "joints.mat", {"joints": joints})
    for i in (1, 2, 3):
        Image.new("RGB", (64, 80)).save(folder / "images" / f"im{i:04d}.jpg")
    (folder / "train.txt").write_text("im0001.jpg\nim0002.jpg\n")
    (folder / "valid.txt").write_text("im0003.jpg\n")
    return folder


def test_help_comes_at_once() -> None:
    """Half a second is what a person forgives; torch alone takes several."""
    code = (
        "import sys; sys.argv = ['okdhp', '--help']\n"
        "from service.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'fastapi', 'sqlalchemy', 'onnxruntime', 'celery'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    began = time.perf_counter()

    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    assert time.perf_counter() - began < 2  # 0.15 s on a machine that has nothing else to do


@pytest.mark.parametrize(
    "command",
    [
        "",
        "serve",
        "worker",
        "train",
        "evaluate",
        "export",
        "predict",
        "data",
        "data add",
        "data audit",
        "data audit",
    ],
)
def test_every_command_explains_itself(okdhp: Run, command: str) -> None:
    """A person finds the rest from here."""
    code, out, _ = okdhp(*command.split(), "--help")

    assert code == 0
    assert "Usage: okdhp" in out


def test_an_unknown_command_is_a_usage_error(okdhp: Run) -> None:
    """As shells expect it."""
    assert okdhp("evalute")[0] == 2
    assert okdhp("predict")[0] == 2


def test_predict_prints_every_joint(okdhp: Run, photo: Path, brightest: Path) -> None:
    """Without a server."""
    code, out, err = okdhp("predict", photo, "--model", brightest, "--boxes", "[[130,10,64,64]]")

    assert (code, err) == (0, "")
    assert "200 × 120, 1 poses" in out
    assert any(line.split() == ["left_wrist", "150.0", "40.0", "1.00"] for line in out.splitlines())


def test_predict_answers_as_the_service_does(
    okdhp: Run, photo: Path, with_student: ServiceSettings
) -> None:
    """Programs read both; a line a photograph."""
    code, out, _ = okdhp("predict", photo, photo, "--json", "--home", with_student.home)

    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [answer["file"] for answer in answers] == [str(photo)] * 2
    assert list(answers[0]) == ["file", "model", "image", "poses", "timings_ms"]
    assert answers[0]["model"]["name"] == "glow"


def test_predict_tells_who_is_seen_where_the_student_does(
    okdhp: Run, photo: Path, brightest: Path, tmp_path: Path
) -> None:
    """In JSON's own terms: what is not known is null."""
    student = write_telling(brightest, tmp_path / "telling.onnx")

    _, out, _ = okdhp("predict", photo, "--json", "--model", student)

    joints = json.loads(out, parse_constant=pytest.fail)["poses"][0]["keypoints"]
    assert joints[0]["visible"] == pytest.approx(0.8808, abs=1e-3)
    assert joints[UNKNOWN]["visible"] is None


def test_predict_draws(okdhp: Run, photo: Path, brightest: Path, tmp_path: Path) -> None:
    """Beside the photograph nothing is written."""
    code, _, err = okdhp("predict", photo, "--model", brightest, "--out", tmp_path / "drawn")

    assert code == 0
    assert f"wrote {tmp_path / 'drawn' / 'photo.png'}" in err
    assert Image.open(tmp_path / "drawn" / "photo.png").size == (200, 120)


def test_one_bad_photograph_does_not_cost_the_others(
    okdhp: Run, photo: Path, brightest: Path, tmp_path: Path
) -> None:
    """Whoever gives a thousand wants to hear of the bad ones at the end."""
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"nothing")
    missing = tmp_path / "missing.jpg"

    code, out, err = okdhp("predict", bad, missing, photo, "--model", brightest)

    assert code == 2
    assert len(err.splitlines()) == 2
    assert "bad.jpg: the 7 bytes are not an image" in err
    assert "missing.jpg: No such file" in err
    assert "photo.png" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--boxes", "[[1,2,3]]"], 2, "boxes[0] is not four numbers"),
        (["--boxes", "[[900,0,9,9]]"], 2, "outside the image"),
        (["--model", "nobody"], 2, "there is no model 'nobody'"),
        (["--model", "nothing.onnx"], 1, "nothing.onnx"),
    ],
)
def test_predict_refuses_in_one_line(
    okdhp: Run,
    photo: Path,
    with_student: ServiceSettings,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    """2 for what was asked wrongly, 1 for what failed."""
    found, _, err = okdhp("predict", photo, "--home", with_student.home, *arguments)

    assert found == code
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_set_is_registered_and_listed(
    okdhp: Run, lsp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its path below the data folder, or by one that leads there."""
    monkeypatch.setenv("OKDHP_DATA_DIR", str(tmp_path))
    home = tmp_path / "home"

    assert "no data set is registered" in okdhp("data", "ls", "--home", home)[1]
    by_name = okdhp("data", "add", "one", "lsp:lsp", "--home", home)
    by_path = okdhp("data", "add", "two", f"lsp:{lsp}", "--home", home)
    _, listed, _ = okdhp("data", "ls", "--home", home)

    assert by_name[0] == by_path[0] == 0
    assert "one:train: 2 people, 2 images" in by_name[1]
    assert [line.split()[:3] for line in listed.splitlines()] == [
        ["one:1", "lsp", "lsp"],
        ["two:1", "lsp", "lsp"],
    ]


def test_a_set_outside_the_data_folder_is_refused_with_the_way_in(
    okdhp: Run, lsp: Path, tmp_path: Path
) -> None:
    """A worker elsewhere finds sets by the data folder alone."""
    code, _, err = okdhp("data", "add", "one", f"lsp:{lsp}", "--home", tmp_path / "home")

    assert code == 2
    assert "OKDHP_DATA_DIR" in err


def test_any_set_can_be_checked(okdhp: Run, lsp: Path) -> None:
    """Without registering it."""
    code, out, _ = okdhp("data", "check", f"lsp:{lsp}:train")

    assert code == 0
    assert "lsp:train: 2 people on 2 images" in out
    assert "fingerprint" in out


def test_a_faulty_set_fails_its_check(okdhp: Run, lsp: Path) -> None:
    """With the names of what is missing."""
    (lsp / "images" / "im0001.jpg").unlink()

    code, _, err = okdhp("data", "check", f"lsp:{lsp}")

    assert code == 2
    assert "im0001.jpg" in err


@pytest.mark.parametrize("source", ["lsp", "pascal:/x", "lsp:", "synthetic:many", ""])
def test_a_source_that_is_none_is_refused(okdhp: Run, source: str) -> None:
    """With the form that is accepted."""
    code, _, err = okdhp("data", "check", source)

    assert code == 2
    assert "SOURCE" in err
    assert "Traceback" not in err


def test_a_student_is_measured_joint_by_joint(
    okdhp: Run, lsp: Path, brightest: Path, tmp_path: Path
) -> None:
    """A table for people; metrics and protocol for programs."""
    code, out, _ = okdhp(
        "evaluate", brightest, "--data", f"lsp:{lsp}:valid", "--json", tmp_path / "r.json"
    )

    result = json.loads((tmp_path / "r.json").read_text())
    assert code == 0
    assert "pck@0.2 on lsp:valid" in out
    for line in ("right_ankle", "head_top", "mean"):
        assert line in out
    assert result["people"] == 1
    assert result["protocol"]["data"] == "lsp:valid"


def test_a_wrong_setting_of_the_environment_is_named(
    okdhp: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """pydantic's own words would name a class instead."""
    monkeypatch.setenv("OKDHP_LEASE_S", "soon")

    code, _, err = okdhp("data", "ls", "--home", tmp_path)

    assert code == 2
    assert err.startswith("okdhp: OKDHP_LEASE_S: found 'soon'")


def test_a_newer_database_is_not_touched(okdhp: Run, tmp_path: Path) -> None:
    """An older program says so in a line."""
    okdhp("data", "ls", "--home", tmp_path)
    with sqlite3.connect(tmp_path / "okdhp.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffff'")

    code, _, err = okdhp("data", "ls", "--home", tmp_path)

    assert code == 1
    assert "another version" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["serve"], ["worker"], ["predict", "x.jpg"], ["evaluate", "x", "--data", "lsp:x"]]
)
def test_without_a_runtime_the_way_to_one_is_told(
    okdhp: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """`pip install okdhp` alone brings none: nobody can know whether it should be cpu or gpu."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    code, _, err = okdhp(*arguments)

    assert code == 1
    assert err == "okdhp: this needs ONNX Runtime: pip install 'okdhp[cpu]', or 'okdhp[gpu]'\n"
