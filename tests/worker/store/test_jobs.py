"""Posting, listing, announcing, and what a run's events become."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from worker.errors import ArtifactNotFound, IdempotencyConflict, JobNotFound
from worker.store import Claim, JobStore, Need, State


def epoch(seq: int, number: int, pck: float) -> dict[str, object]:
    metrics = {"pck@0.2": pck}
    branches = {"small": metrics, "large": {"pck@0.2": pck + 1}}
    return {
        "seq": seq, "time": 1.0, "kind": "epoch", "epoch": number,
        "branches": branches, "ensemble": {"pck@0.2": 99.0},
    }  # fmt: skip


def claimed(jobs: JobStore) -> Claim:
    return jobs.claim(jobs.add("distill", {}, {})[0].id, "a")


def test_a_job_is_stored_as_posted_and_as_resolved(jobs: JobStore) -> None:
    """A person sees what they wrote and what it came to."""
    job, new = jobs.add("distill", {"preset": "tiny"}, {"training": {"epochs": 12}})

    stored = jobs.get(job.id)
    assert new
    assert (stored.kind, stored.state) == ("distill", State.QUEUED)
    assert stored.config == {"preset": "tiny"}
    assert stored.resolved == {"training": {"epochs": 12}}


def test_an_unknown_job_is_named(jobs: JobStore) -> None:
    """The id may have been mistyped."""
    with pytest.raises(JobNotFound, match="there is no job '42'"):
        jobs.get("42")


def test_a_repeated_post_is_the_same_job(jobs: JobStore) -> None:
    """A client that lost the answer asks again; the order of its keys does not matter."""
    first, new = jobs.add("distill", {"a": 1, "b": 2}, {}, idempotency_key="k")
    again, new_again = jobs.add("distill", {"b": 2, "a": 1}, {}, idempotency_key="k")

    assert (new, new_again) == (True, False)
    assert first.id == again.id


@pytest.mark.parametrize(("kind", "config"), [("distill", {"a": 2}), ("evaluate", {"a": 1})])
def test_a_key_with_another_body_is_refused(jobs: JobStore, kind: str, config: dict) -> None:
    """The client has a bug; silence would lose a job."""
    job, _ = jobs.add("distill", {"a": 1}, {}, idempotency_key="k")

    with pytest.raises(IdempotencyConflict, match=f"'k' belongs to job {job.id}"):
        jobs.add(kind, config, {}, idempotency_key="k")


def test_the_same_key_at_the_same_moment_makes_one_job(jobs: JobStore) -> None:
    """Both posts passed the look-up before either was written."""
    start = Barrier(6)

    def post(_: int) -> tuple[str, bool]:
        start.wait()
        job, new = jobs.add("distill", {}, {}, idempotency_key="k")
        return job.id, new

    with ThreadPoolExecutor(6) as threads:
        posted = list(threads.map(post, range(6)))

    assert len({job_id for job_id, _ in posted}) == 1
    assert sum(new for _, new in posted) == 1


def test_pages_hold_every_job_once_newest_first(jobs: JobStore) -> None:
    """Keyset paging: a job that is posted meanwhile moves nothing."""
    ids = [jobs.add("distill", {}, {})[0].id for _ in range(7)]

    seen, before = [], None
    while True:
        page = jobs.page(before=before, limit=3)
        seen += [job.id for job in page.jobs]
        jobs.add("distill", {}, {})
        before = page.next
        if before is None:
            break

    assert seen == ids[::-1]


def test_pages_take_filters(jobs: JobStore) -> None:
    """By state and by kind."""
    queued = jobs.add("evaluate", {}, {})[0].id
    cancelled = jobs.cancel(jobs.add("evaluate", {}, {})[0].id).id
    jobs.add("distill", {}, {})

    assert [j.id for j in jobs.page(state=State.CANCELLED).jobs] == [cancelled]
    assert [j.id for j in jobs.page(kind="evaluate").jobs] == [cancelled, queued]
    assert [j.id for j in jobs.page(kind="evaluate", state=State.QUEUED).jobs] == [queued]


def test_a_page_that_is_just_full_is_the_last(jobs: JobStore) -> None:
    """No empty page after it."""
    for _ in range(3):
        jobs.add("distill", {}, {})

    assert jobs.page(limit=3).next is None


def test_events_become_progress_metrics_and_result(jobs: JobStore) -> None:
    """What `GET /jobs/{id}` shows."""
    claim = claimed(jobs)
    jobs.record(
        claim,
        [
            {"seq": 1, "kind": "started", "time": 1.0},
            {"seq": 2, "kind": "progress", "time": 1.0, "epoch": 1, "step": 5},
            epoch(3, 1, 10.0),
            epoch(4, 2, 8.0),
        ],
    )

    job = jobs.get(claim.job_id)
    assert job.progress == {"epoch": 1, "step": 5}
    metrics = jobs.metrics(job)
    assert [entry["epoch"] for entry in metrics["history"]] == [1, 2]
    assert metrics["latest"] == metrics["history"][-1]
    assert "seq" not in metrics["latest"]
    # of the branches, not of the ensemble, which is not deployed
    assert metrics["best"] == {"epoch": 1, "branch": "large", "metric": "pck@0.2", "score": 11.0}

    best = {"branch": "small", "epoch": 2, "metric": "AP", "score": 8.0}
    jobs.record(claim, [{"seq": 5, "kind": "finished", "metrics": {"best": best}}])
    assert jobs.metrics(jobs.get(claim.job_id))["best"] == best


def test_a_job_without_epochs_has_empty_metrics(jobs: JobStore) -> None:
    """The same keys from the first moment on."""
    job, _ = jobs.add("distill", {}, {})

    assert jobs.metrics(job) == {"latest": None, "best": None, "history": []}


def test_events_that_come_again_change_nothing(jobs: JobStore) -> None:
    """A supervisor that is not sure whether it stored them sends them again."""
    claim = claimed(jobs)
    jobs.record(claim, [epoch(1, 1, 10.0), {"seq": 2, "kind": "progress", "step": 9}])

    jobs.record(claim, [epoch(1, 1, 77.0), {"seq": 2, "kind": "progress", "step": 1}])

    job = jobs.get(claim.job_id)
    assert job.progress == {"step": 9}
    assert jobs.metrics(job)["latest"]["branches"]["small"] == {"pck@0.2": 10.0}


def test_an_epoch_that_ran_again_replaces_its_entry(jobs: JobStore) -> None:
    """After a resume from an older checkpoint: no gap and no repeat."""
    claim = claimed(jobs)
    jobs.record(claim, [epoch(1, 1, 10.0), epoch(2, 2, 20.0)])
    jobs.record(claim, [epoch(3, 2, 21.0), epoch(4, 3, 30.0)])

    history = jobs.metrics(jobs.get(claim.job_id))["history"]
    assert [(e["epoch"], e["branches"]["small"]["pck@0.2"]) for e in history] == [
        (1, 10.0),
        (2, 21.0),
        (3, 30.0),
    ]


def test_an_artifact_of_the_same_name_is_replaced(jobs: JobStore) -> None:
    """Pictures are drawn again every epoch."""
    claim = claimed(jobs)
    jobs.add_artifact(claim, "curves.png", "k1", 3, "aa")
    jobs.add_artifact(claim, "curves.png", "k2", 4, "bb")

    found = jobs.artifact(claim.job_id, "curves.png")
    assert (found.key, found.bytes, found.sha256) == ("k2", 4, "bb")
    assert [a.name for a in jobs.artifacts(claim.job_id)] == ["curves.png"]


def test_an_unknown_artifact_and_an_unknown_job_are_told_apart(jobs: JobStore) -> None:
    """A person needs to know which of the two they mistyped."""
    job, _ = jobs.add("distill", {}, {})

    with pytest.raises(ArtifactNotFound, match=r"has no artifact 'x\.png'"):
        jobs.artifact(job.id, "x.png")
    with pytest.raises(ArtifactNotFound):
        jobs.artifact(job.id, "x\0.png")
    with pytest.raises(JobNotFound):
        jobs.artifact("nobody", "x.png")


def test_a_job_is_announced_until_it_was(jobs: JobStore) -> None:
    """The broker may be away when a job is posted."""
    first = jobs.add("distill", {}, {})[0].id
    second = jobs.add("distill", {}, {})[0].id
    assert jobs.unannounced() == [first, second]

    jobs.announced(first)
    assert jobs.unannounced() == [second]

    jobs.cancel(second)
    assert jobs.unannounced() == []


def test_a_job_that_was_announced_is_still_found_by_who_has_a_device(jobs: JobStore) -> None:
    """Somebody may have emptied the broker."""
    job_id = jobs.add("distill", {}, {})[0].id
    jobs.announced(job_id)

    assert jobs.unannounced() == []
    assert jobs.next_jobs([Need.ANY]) == [job_id]


def test_a_released_job_is_announced_anew(jobs: JobStore) -> None:
    """Its first message is spent."""
    job_id = jobs.add("distill", {}, {})[0].id
    jobs.announced(job_id)
    jobs.release(jobs.claim(job_id, "a"), "its worker ends")

    assert jobs.unannounced() == [job_id]
