"""References of a configuration, as files of this machine."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from model.errors import ConfigError
from model.training.start.begin import BEST, LAST, fetch_run, local_file


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A folder of a file system that is not this machine's disk."""
    url = f"memory://{uuid4().hex}"
    yield url
    files, root = fsspec.url_to_fs(url)
    if files.exists(root):
        files.rm(root, recursive=True)


def put(url: str, content: bytes) -> None:
    with fsspec.open(url, "wb") as file:
        file.write(content)


def make(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_run_s_folder_means_its_best_checkpoint(tmp_path):
    """And the last one where a run was stopped before it was judged."""
    last = make(tmp_path / LAST)
    assert local_file(str(tmp_path), "training.init") == last

    best = make(tmp_path / BEST)
    assert local_file(str(tmp_path), "training.init") == best
    assert local_file(str(tmp_path), "--resume", inside=(LAST,)) == last


def test_a_file_is_taken_where_it_lies(tmp_path, monkeypatch):
    """By a path from where one stands, and by its URL: nothing is copied."""
    file = make(tmp_path / "student.onnx")
    monkeypatch.chdir(tmp_path)

    assert local_file("student.onnx", "training.init") == file
    assert local_file(f"file://{file}", "training.init") == file


def test_what_lies_elsewhere_is_copied_once(elsewhere, tmp_path):
    """A second training of the same day does not wait for it."""
    put(f"{elsewhere}/run/{BEST}", b"weights")

    first = local_file(f"{elsewhere}/run", "scheme.teacher", cache=tmp_path)
    written = first.stat().st_mtime_ns
    again = local_file(f"{elsewhere}/run", "scheme.teacher", cache=tmp_path)

    assert first.read_bytes() == b"weights"
    assert first.suffix == ".pt"
    assert (again, again.stat().st_mtime_ns) == (first, written)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [first]


def test_what_has_changed_elsewhere_is_copied_again(elsewhere, tmp_path):
    """Yesterday's weights under today's name would be a quiet mistake."""
    put(f"{elsewhere}/a.pt", b"old")
    local_file(f"{elsewhere}/a.pt", "training.init", cache=tmp_path)
    put(f"{elsewhere}/a.pt", b"new")

    assert local_file(f"{elsewhere}/a.pt", "training.init", cache=tmp_path).read_bytes() == b"new"


def test_a_copy_that_breaks_off_leaves_nothing(elsewhere, tmp_path, monkeypatch):
    """Half a checkpoint in the cache would be taken for a whole one the next time."""
    put(f"{elsewhere}/a.pt", b"weights")

    def break_off(source: object, target: object, length: int) -> None:
        target.write(b"wei")  # type: ignore[attr-defined]
        raise OSError("the line is dead")

    monkeypatch.setattr("shutil.copyfileobj", break_off)
    with pytest.raises(
        ConfigError, match=r"training\.init: .* cannot be fetched: the line is dead"
    ):
        local_file(f"{elsewhere}/a.pt", "training.init", cache=tmp_path)

    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("/nowhere/run", "training.init: there is no /nowhere/run; accepted: a run's folder"),
        ("memory://nowhere/run", "training.init: there is no memory://nowhere/run"),
        ("gopher://host/run", "training.init: gopher://host/run cannot be fetched"),
    ],
)
def test_what_is_not_there_is_told_with_its_key(reference, words):
    """A typing mistake, a store without it, a scheme that nobody knows."""
    with pytest.raises(ConfigError) as refusal:
        local_file(reference, "training.init")

    assert str(refusal.value).startswith(words)


def test_a_folder_without_a_checkpoint_is_told_what_was_looked_for(tmp_path):
    """It may be the folder above the one that was meant."""
    with pytest.raises(ConfigError, match=r"holds no checkpoints/best\.pt and no checkpoints/last"):
        local_file(str(tmp_path), "training.init")


@pytest.mark.parametrize("named", ["run", f"run/{LAST}"])
def test_a_run_is_fetched_with_all_that_it_takes_to_go_on(elsewhere, tmp_path, named):
    """By its folder or its checkpoint; its pictures and students are made anew."""
    kept = ("config.yaml", "events.jsonl", LAST, BEST, "checkpoints/best-0003.pt")
    for name in (*kept, "curves.png", "students/a.onnx"):
        put(f"{elsewhere}/run/{name}", name.encode())

    fetch_run(f"{elsewhere}/{named}", tmp_path / "here", "--resume")

    found = {p for p in (tmp_path / "here").rglob("*") if p.is_file()}
    assert found == {tmp_path / "here" / name for name in kept}
    assert all(p.read_bytes().decode() == str(p.relative_to(tmp_path / "here")) for p in found)


def test_a_lone_checkpoint_is_fetched_too(elsewhere, tmp_path):
    """The configuration stands in it."""
    put(f"{elsewhere}/mine.pt", b"weights")
    put(f"{elsewhere}/another.pt", b"of another run")

    fetch_run(f"{elsewhere}/mine.pt", tmp_path, "--resume")

    assert (tmp_path / LAST).read_bytes() == b"weights"
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
