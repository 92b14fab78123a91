"""Uploads that come at once, are left behind, or go while somebody needs them."""

import fcntl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.errors import DatasetError
from tests.worker.datasets.zips import lsp_files, write, zipped
from worker.datasets import UPLOADS, Datasets, Upload, UploadBounds, sweep
from worker.datasets import sets as sets_file
from worker.datasets.sets import Added
from worker.errors import ArchiveRefused, DatasetInUse, DatasetNotFound, StoreUnusable
from worker.store import Database, JobStore, State
from worker.stores import Stores
from worker.supervisor import Supervisor

FREE = UploadBounds(free_bytes=0)
AT_ONCE = 6


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def datasets(database: Database, data_dir: Path) -> Datasets:
    return Datasets(database, data_dir)


@pytest.fixture
def send(datasets: Datasets, data_dir: Path) -> Callable[..., Added]:
    """Uploads LSP's files, the list of one split changed."""

    def send(name: str = "gym", valid: str = "im0003.jpg") -> Added:
        upload = Upload(data_dir, name, FREE)
        try:
            upload.write(zipped({**lsp_files(), "valid.txt": f"{valid}\n".encode()}))
            return datasets.upload(name, upload)
        finally:
            upload.close()

    return send


def folders(data_dir: Path) -> list[str]:
    return [path.name for path in (data_dir / UPLOADS).iterdir() if path.is_dir()]


def test_the_same_files_at_once_are_one_version(
    send: Callable[..., Added],
    datasets: Datasets,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everybody has looked for them before anybody has noted them."""
    together = threading.Barrier(AT_ONCE)
    surveyed = sets_file.survey

    def slow(*given: object, **more: object) -> object:
        together.wait(20)
        return surveyed(*given, **more)

    monkeypatch.setattr(sets_file, "survey", slow)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        added = list(pool.map(lambda _: send(), range(AT_ONCE)))

    assert [one.dataset.version for one in added] == [1] * AT_ONCE
    assert sum(one.new for one in added) == 1
    assert len(datasets.versions("gym")) == len(folders(data_dir)) == 1


def test_other_files_at_once_are_a_version_each(
    send: Callable[..., Added], datasets: Datasets
) -> None:
    """Numbers are given one after another, whoever asks."""
    lists = [", ".join(["im0001.jpg", "im0002.jpg"][:n]) or "im0003.jpg" for n in (0, 1)]
    lists += ["im0002.jpg", "\nim0001.jpg", "im0003.jpg\nim0002.jpg", "im0001.jpg\n\n"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        added = list(pool.map(lambda valid: send(valid=valid), lists))

    assert sorted(one.dataset.version for one in added) == list(range(1, len(lists) + 1))
    assert [one.version for one in datasets.versions("gym")] == list(range(len(lists), 0, -1))
    assert datasets.get("gym").version == len(lists)


def test_what_a_killed_server_left_is_swept_and_nothing_else(
    send: Callable[..., Added], data_dir: Path
) -> None:
    """An upload in work, of any server, holds the folder."""
    kept = Path(send().dataset.path).parts[1]
    write(data_dir / UPLOADS / "dead.part", {"archive.zip": b"x", "gym/joints.mat": b"x"})
    living = Upload(data_dir, "gym", FREE)

    while_it_works = sweep(data_dir)
    living.close()

    assert while_it_works == 0
    assert sweep(data_dir) == 1
    assert folders(data_dir) == [kept]
    assert sweep(data_dir / "nowhere") == 0


def test_an_upload_waits_for_a_sweep(data_dir: Path) -> None:
    """Else its folder could be taken for a dead one's."""
    sweep(data_dir)
    (data_dir / UPLOADS).mkdir(parents=True)
    with (data_dir / UPLOADS / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        begun: list[Upload] = []
        thread = threading.Thread(target=lambda: begun.append(Upload(data_dir, "gym", FREE)))
        thread.start()
        thread.join(0.1)
        assert not begun
        fcntl.flock(lock, fcntl.LOCK_UN)
        thread.join(10)
    begun[0].close()
    assert folders(data_dir) == []


def test_a_data_folder_that_may_not_be_written_says_so() -> None:
    """As that of a container which reads it only."""
    with pytest.raises(StoreUnusable, match="may not write to its data folder"):
        Upload(Path("/sys"), "gym", FREE)  # nobody, root included, makes a folder there


def test_a_folder_that_may_only_be_read_is_not_swept(data_dir: Path) -> None:
    """A server whose data are mounted so starts all the same."""
    data_dir.mkdir()
    (data_dir / UPLOADS).symlink_to("/sys")  # nobody, root included, makes a file there

    assert sweep(data_dir) == 0


def test_an_archive_is_counted_as_it_comes(data_dir: Path) -> None:
    """Whatever its length was said to be."""
    upload = Upload(data_dir, "gym", FREE.model_copy(update={"max_bytes": 100}))
    upload.write(b"x" * 100)

    with pytest.raises(ArchiveRefused, match="an archive may have 100 bytes"):
        upload.write(b"x")

    upload.close()
    assert folders(data_dir) == []


def test_a_set_that_a_job_names_stays_until_it_ends(
    send: Callable[..., Added], datasets: Datasets, database: Database
) -> None:
    """Of an older program's job, which names no version, all of them."""
    send()
    send(valid="im0001.jpg")
    jobs = JobStore(database)
    pinned = {"data": {"train": [{"dataset": "gym:2"}], "valid": [{"dataset": "other"}]}}
    job, _ = jobs.add("distill", {}, pinned)

    with pytest.raises(DatasetInUse, match=rf"'gym:2' is used by job {job.id} \(queued\)"):
        datasets.delete("gym", 2)
    with pytest.raises(DatasetInUse, match="'gym' is used"):
        datasets.delete("gym")
    datasets.delete("gym", 1)
    jobs.cancel(job.id)
    old, _ = jobs.add("distill", {}, {"data": {"train": [{"dataset": "gym"}]}})
    with pytest.raises(DatasetInUse, match=old.id):
        datasets.delete("gym", 2)
    jobs.cancel(old.id)
    datasets.delete("gym")

    with pytest.raises(DatasetNotFound, match="data set 'gym:2' was deleted"):
        datasets.lookup("gym:2")
    assert datasets.all() == []
    assert send().dataset.version == 3


@pytest.mark.parametrize("gone", ["the files", "the version"])
def test_a_job_whose_set_is_gone_fails_for_bad_data(stores: Stores, gone: str) -> None:
    """And says which it was."""
    data_dir = stores.settings.data_dir
    write(data_dir / "gym", lsp_files())
    stores.datasets.register("gym", "lsp", "gym")
    supervisor = Supervisor(stores)
    config = {"preset": "tiny", "data": {"train": [{"dataset": "gym", "split": "train"}]}}
    resolved = supervisor.kinds["distill"].resolve(config, stores)
    job, _ = stores.jobs.add("distill", config, resolved)
    if gone == "the files":
        (data_dir / "gym").rename(data_dir / "moved")
    else:
        with stores.database.writing() as session:  # as a deletion at the same moment
            row = session.get_one(sets_file.Dataset, ("gym", 1))
            row.deleted_at = 1.0

    supervisor.run(job.id)

    ended = stores.jobs.get(job.id)
    assert ended.state == State.FAILED
    assert ended.error is not None
    assert ended.error["reason"] == "bad data"
    said = "does not exist in the data folder" if gone == "the files" else "'gym:1' was deleted"
    assert said in ended.error["message"]


def test_a_faulty_upload_leaves_no_folder(datasets: Datasets, data_dir: Path) -> None:
    """Also where it was unpacked already."""
    upload = Upload(data_dir, "gym", FREE)
    upload.write(zipped({**lsp_files(), "joints.mat": b"no labels"}))

    with pytest.raises(DatasetError, match=r"gym/joints\.mat: is not a readable MATLAB file"):
        datasets.upload("gym", upload)
    upload.close()

    assert folders(data_dir) == []
    assert datasets.all() == []
