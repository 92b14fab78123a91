"""What ended long ago or is too much goes; what is needed, runs or is resumed stays."""

from pathlib import Path

import pytest

from worker import retention
from worker.errors import ActionRefused, ArtifactUnusable
from worker.settings import WorkerSettings
from worker.store import Job, State, Version
from worker.store.versions import insert_version
from worker.stores import Stores

DAY_S = 24 * 3600.0


@pytest.fixture
def stores(stores: Stores) -> Stores:
    """Whatever is older than two days goes."""
    return keeping(stores, keep_days=2.0)


def keeping(stores: Stores, **settings: float) -> Stores:
    object.__setattr__(stores, "settings", stores.settings.model_copy(update=settings))
    return stores


def worked(stores: Stores, tmp_path: Path, *, size: int = 10, **more) -> str:
    """A job that a worker holds, with an artifact, a checkpoint and a run folder."""
    claim = stores.jobs.claim(stores.jobs.add("distill", {}, more)[0].id, "a")
    file = tmp_path / "left"
    file.write_bytes(b"x" * size)
    job_id = claim.job_id
    stored = stores.artifacts.put(file, f"jobs/{job_id}/students/a.onnx")
    stores.jobs.add_artifact(claim, "a.onnx", stored.key, stored.bytes, stored.sha256)
    saved = stores.artifacts.put(file, f"checkpoints/{job_id}/1-1.pt")
    last = {"key": saved.key, "bytes": saved.bytes, "sha256": saved.sha256}
    stores.jobs.keep_checkpoint(claim, {"files": {"checkpoints/last.pt": last}})
    run_dir = stores.settings.run_dir(job_id)
    run_dir.mkdir()
    (run_dir / "log.txt").write_bytes(b"x" * size)
    return job_id


def ended(stores: Stores, tmp_path: Path, *, days_ago: float, size: int = 10) -> str:
    job_id = worked(stores, tmp_path, size=size)
    with stores.database.writing() as session:
        job = session.get_one(Job, job_id)
        job.state, job.worker = State.FAILED, None
        job.ended_at = job.created_at - days_ago * DAY_S
    return job_id


def left(stores: Stores, job_id: str) -> set[str]:
    """Which of a job's files are there."""
    places = {"run": stores.settings.run_dir(job_id)}
    places |= {f: stores.settings.home / "artifacts" / f / job_id for f in ("jobs", "checkpoints")}
    return {name for name, place in places.items() if place.exists()}


ALL = {"run", "jobs", "checkpoints"}


def test_old_files_go_and_the_job_says_so(stores: Stores, tmp_path: Path) -> None:
    """Its row, history and metrics stay; it can be repeated, not resumed."""
    old, young = (ended(stores, tmp_path, days_ago=days) for days in (3, 1))

    retention.sweep(stores)

    assert (left(stores, old), left(stores, young)) == (set(), ALL)
    job = stores.jobs.get(old)
    assert job.pruned_at is not None and job.checkpoint is None
    assert stores.jobs.artifacts(old) == []
    assert stores.jobs.actions(job) == ("retry", "delete")
    with pytest.raises(ActionRefused, match="its files were pruned"):
        stores.jobs.resume(old, {}, "")


def test_by_default_everything_stays(stores: Stores, tmp_path: Path) -> None:
    """A server that nobody told to removes nothing."""
    keeping(stores, keep_days=0.0)
    job_id = ended(stores, tmp_path, days_ago=1000)

    retention.sweep(stores)

    assert left(stores, job_id) == ALL


def test_what_a_registered_model_came_from_stays(stores: Stores, tmp_path: Path) -> None:
    """Its artifacts; checkpoints and run folder are no part of a model."""
    job_id = ended(stores, tmp_path, days_ago=3)
    with stores.database.writing() as session:
        version = Version(
            model="gym", key="k", bytes=1, sha256="x", card={}, metrics={}, receipt=None,
            job_id=job_id, branch="a", variant="fp32",
        )  # fmt: skip
        insert_version(session, version, 1.0)

    retention.sweep(stores)
    retention.sweep(stores)

    assert left(stores, job_id) == {"jobs"}
    assert [a.name for a in stores.jobs.artifacts(job_id)] == ["a.onnx"]


def test_what_runs_waits_or_is_waited_for_stays(stores: Stores, tmp_path: Path) -> None:
    """A job that begins with another's weights may stand in the queue for days."""
    running = worked(stores, tmp_path)
    needed = ended(stores, tmp_path, days_ago=3)
    resumed = ended(stores, tmp_path, days_ago=3)
    stores.jobs.add("distill", {}, {"training": {"init": needed}})
    stores.jobs.resume(resumed, {}, "")

    retention.sweep(stores)

    for job_id in (running, needed, resumed):
        assert left(stores, job_id) == ALL


def test_a_job_that_is_resumed_while_files_are_removed_keeps_its_own(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was found old, and resumed a moment later."""
    job_id = ended(stores, tmp_path, days_ago=3)
    found = list(retention._too_much(stores))
    stores.jobs.resume(job_id, {}, "")
    monkeypatch.setattr(retention, "_too_much", lambda stores: found)

    retention.sweep(stores)

    assert found == [job_id]
    assert left(stores, job_id) == ALL
    retention._remove_run(stores, stores.settings.run_dir(job_id))
    assert left(stores, job_id) == ALL


def test_of_too_much_the_oldest_goes_first(stores: Stores, tmp_path: Path) -> None:
    """The limit is of artifacts and checkpoints together."""
    keeping(stores, keep_days=0.0, keep_gb=50_000 / 1e9)
    older, newer = (ended(stores, tmp_path, days_ago=days, size=20_000) for days in (9, 8))

    retention.sweep(stores)

    assert (left(stores, older), left(stores, newer)) == (set(), ALL)


def test_a_run_folder_that_is_too_much_goes_without_its_job(stores: Stores, tmp_path: Path) -> None:
    """It is a copy: the job can be resumed from what is stored."""
    keeping(stores, keep_days=0.0, keep_gb=50_000 / 1e9)
    older, newer = (ended(stores, tmp_path, days_ago=days, size=100) for days in (9, 8))
    for job_id in (older, newer):
        (stores.settings.run_dir(job_id) / "pack").write_bytes(b"x" * 30_000)

    retention.sweep(stores)

    assert (left(stores, older), left(stores, newer)) == ({"jobs", "checkpoints"}, ALL)
    assert "resume" in stores.jobs.actions(stores.jobs.get(older))


def test_a_removal_that_was_cut_off_is_finished(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whichever worker sweeps next, also a folder that was half removed."""
    job_id = ended(stores, tmp_path, days_ago=3)
    half = stores.settings.runs_dir / ".leaving-x"
    half.mkdir()

    def away(key: str) -> None:
        raise ArtifactUnusable("the store is away")

    with monkeypatch.context() as broken, pytest.raises(ArtifactUnusable):
        broken.setattr(stores.artifacts, "remove", away)
        retention.sweep(stores)
    assert left(stores, job_id) == ALL

    retention.sweep(stores)

    assert left(stores, job_id) == set()
    assert not half.exists()


def test_what_was_deleted_elsewhere_goes_here_and_strangers_stay(
    stores: Stores, settings: WorkerSettings, tmp_path: Path
) -> None:
    """The host that was asked has another runs_dir; nobody's own folder is touched."""
    job_id = ended(stores, tmp_path, days_ago=1)
    stores.jobs.forget([job_id])
    strangers = ("my-run", "00000000-0000-7000-8000-000000000000")
    for name in strangers:
        (settings.runs_dir / name).mkdir()

    retention.sweep(stores)

    assert sorted(folder.name for folder in settings.runs_dir.iterdir()) == sorted(strangers)
