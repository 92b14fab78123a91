"""Files that outlive a run: on disk, and in a real S3 server."""

import uuid
from pathlib import Path

import pytest

from worker.artifacts import ArtifactStore, checked_key
from worker.errors import ArtifactUnusable, StoreUnusable

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # sha256sum of "hello"


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty store of each sort: here, and somewhere else."""
    if request.param == "file":
        return f"file://{tmp_path / 'store'}"
    bucket: str = request.getfixturevalue("s3_bucket")
    return f"{bucket}/{uuid.uuid4().hex}"


@pytest.fixture
def store(url: str, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(url, tmp_path / "cache")


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    path = tmp_path / "hello.txt"
    path.write_bytes(b"hello")
    return path


def test_a_file_comes_back_as_it_was(store: ArtifactStore, hello: Path) -> None:
    """With its length and SHA-256."""
    stored = store.put(hello, "jobs/1/hello.txt")

    assert (stored.key, stored.bytes, stored.sha256) == ("jobs/1/hello.txt", 5, HELLO)
    with store.open(stored.key) as file:
        assert file.read() == b"hello"


def test_a_file_of_the_same_key_is_replaced(store: ArtifactStore, hello: Path) -> None:
    """Uploads are repeated after a crash."""
    store.put(hello, "a")
    hello.write_bytes(b"good bye")
    store.put(hello, "a")

    with store.open("a") as file:
        assert file.read() == b"good bye"


def test_a_fetched_file_is_checked(store: ArtifactStore, hello: Path) -> None:
    """A second call uses what the first one fetched."""
    stored = store.put(hello, "models/m/1.onnx")

    first = store.fetch(stored.key, stored.sha256)

    assert first.read_bytes() == b"hello"
    assert store.fetch(stored.key, stored.sha256) == first


def test_a_damaged_file_is_refused(store: ArtifactStore, hello: Path) -> None:
    """A model that is half there must not answer."""
    store.put(hello, "a")

    with pytest.raises(ArtifactUnusable, match="a is damaged: its SHA-256 differs"):
        store.fetch("a", "0" * 64)
    assert store.fetch("a", HELLO).read_bytes() == b"hello"


def test_a_file_that_is_gone_is_named(store: ArtifactStore, tmp_path: Path) -> None:
    """By its key, not by the server's path."""
    with pytest.raises(ArtifactUnusable, match="the stored file a/b is gone"):
        store.open("a/b")
    with pytest.raises(ArtifactUnusable, match="the stored file a/b is gone"):
        store.fetch("a/b", HELLO)
    with pytest.raises(ArtifactUnusable, match=r"x\.png is not there"):
        store.put(tmp_path / "x.png", "a/b")


@pytest.mark.parametrize(
    "name", ["..", "../x", "a/../../x", "/etc/passwd", "", ".", "a\\b", "a\nb", "a" * 301]
)
def test_a_name_that_leaves_its_folder_is_refused(store: ArtifactStore, name: str) -> None:
    """Names come out of URLs and out of runs."""
    with pytest.raises(ArtifactUnusable, match="is not a relative file name"):
        store.open(name)


def test_a_name_may_hold_folders() -> None:
    """As `students/a.onnx`."""
    assert checked_key("students/a.onnx") == "students/a.onnx"


def test_a_store_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    """At the start, with what is accepted."""
    with pytest.raises(StoreUnusable, match=r"gopher.*s3://BUCKET"):
        ArtifactStore("gopher://nowhere", tmp_path)


def test_nothing_temporary_stays(url: str, tmp_path: Path, hello: Path) -> None:
    """Neither beside the stored file nor in the cache."""
    ArtifactStore(url, tmp_path / "cache").put(hello, "jobs/1/a.txt")

    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert files - {"store/jobs/1/a.txt"} == {"hello.txt"}


def test_what_is_removed_is_gone_with_all_below_it(store: ArtifactStore, hello: Path) -> None:
    """A job's files go, its neighbour's stay; to remove what is not there is no error."""
    for key in ("jobs/1/a", "jobs/1/b/c", "jobs/10/a"):
        store.put(hello, key)

    for _ in range(2):
        store.remove("jobs/1")

    assert store.keys("jobs/1") == []
    assert store.keys("jobs") == ["jobs/10/a"]
    store.remove("jobs/10/a")
    assert store.keys("jobs") == []
