"""`okdhp data pack` as a person types it: files that every other command takes, nothing lost."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.cli import main

Run = Callable[..., tuple[int, str, str]]
SMALL = ("--size", 64, "--padding", 0.2)


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `okdhp data …` in this process: exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["okdhp", "data", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_a_set_is_packed_and_read_again(tmp_path: Path, data: Run) -> None:
    """The total counts every file, so that it can be compared with what a link or a disk takes."""
    code, out, _ = data("pack", "synthetic:5", "--out", tmp_path, *SMALL, "--terms", "none")
    file = tmp_path / "synthetic" / "all.zip"

    assert code == 0
    assert f"{file}: synthetic, 5 people, " in out
    assert f"5 people in 1 files, {file.stat().st_size / 1e6:.1f} MB" in out
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [file]

    code, out, _ = data("check", f"pack:{file.parent}")

    assert code == 0
    assert "synthetic: 5 people on 5 images" in out
    assert "packed for crops of 64 × 64 pixels with padding 0.2, at quality 52" in out
    assert "terms: none" in out


def kept(file: Path) -> tuple[int, int, int]:
    """What is another once a file was written anew; when it was read is nobody's business."""
    stat = file.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def test_a_command_that_was_interrupted_is_repeated(tmp_path: Path, data: Run) -> None:
    """Whole splits are kept as they are; packed otherwise they are not overwritten."""
    data("pack", "synthetic:5", "--out", tmp_path, *SMALL)
    file = tmp_path / "synthetic" / "all.zip"
    before = kept(file)

    code, out, _ = data("pack", "synthetic:5", "--out", tmp_path, *SMALL)
    assert (code, "was there" in out) == (0, True)

    code, _, err = data("pack", "synthetic:5", "--out", tmp_path, "--size", 96)
    assert code == 2
    assert err == (
        "okdhp: synthetic/all.zip: is there already, of another set or packed otherwise; "
        "remove it or choose another folder\n"
    )
    assert kept(file) == before


def test_two_sets_of_one_name_are_refused_before_any_work(tmp_path: Path, data: Run) -> None:
    """One would overwrite the other."""
    code, _, err = data("pack", "synthetic:5", "synthetic:6", "--out", tmp_path, *SMALL)

    assert code == 2
    assert "SOURCE: two of them would be " in err
    assert list(tmp_path.iterdir()) == []


def test_every_split_of_a_set_is_packed(tmp_path: Path, data: Run) -> None:
    """Where none is named; here those of a pack, which may be packed again, smaller."""
    data("pack", "synthetic:5", "--out", tmp_path / "a", *SMALL)
    folder = tmp_path / "a" / "synthetic"
    (folder / "valid.zip").write_bytes((folder / "all.zip").read_bytes())

    code, _, err = data("pack", f"pack:{folder}", "--out", tmp_path / "b", "--size", 32)

    assert code == 2  # both call themselves by the name of the set that was packed first
    assert "two of them would be" in err
    code, out, _ = data("pack", f"pack:{folder}:all", "--out", tmp_path / "b", "--size", 32)
    assert code == 0
    assert "5 people in 1 files" in out
