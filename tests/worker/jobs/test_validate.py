"""A job that looks at every photograph of a data set, by the real supervisor and its child."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.model.validation.drawn import BROKEN, COPIED, MISSING, SWAPPED, name_of, write_drawn
from worker.jobs import KINDS, Work
from worker.jobs.validate import Validate
from worker.store import Job, State
from worker.stores import Stores

RunJob = Callable[[str, dict[str, Any]], Job]


@pytest.fixture(scope="module")
def spoiled(job_stores: Stores) -> Path:
    """A set that lost files and got errors after it was registered."""
    folder = job_stores.settings.data_dir / "spoiled"
    write_drawn(folder, faults=False)
    job_stores.datasets.register("spoiled", "coco", "spoiled")
    shutil.rmtree(folder)
    write_drawn(folder, faults=True)
    return folder


@pytest.fixture(scope="module")
def validated(spoiled: Path, run_job: RunJob) -> Job:
    return run_job("validate", {"data": {"dataset": "spoiled"}})


def test_planted_faults_are_reported_and_the_job_succeeds(
    job_stores: Stores, validated: Job
) -> None:
    """It is not the job's fault what the data are."""
    assert validated.state == State.SUCCEEDED, validated.error
    assert validated.resolved["data"]["dataset"] == "spoiled:1"
    with job_stores.artifacts.open(
        job_stores.jobs.artifact(validated.id, "validation.json").key
    ) as file:
        report = json.load(file)
    train = report["splits"]["train"]
    assert train["missing"]["first"] == [name_of(MISSING)]
    assert [row["image"] for row in train["broken"]["first"]] == [name_of(BROKEN)]
    assert [row["image"] for row in train["swaps"]["first"]] == [name_of(SWAPPED)]
    same = report["duplicates"]["first"][0]
    assert (same["first"]["image"], same["same_bytes"]) == (name_of(COPIED), True)


def test_the_job_s_own_result_is_the_report_and_its_files_are_there(
    job_stores: Stores, validated: Job
) -> None:
    """No path of the server is in any of them."""
    artifacts = {a.name: a for a in job_stores.jobs.artifacts(validated.id)}

    assert validated.result is not None
    assert (validated.result["people"], len(validated.result["findings"])) == (9, 5)
    assert validated.progress is not None
    assert (validated.progress["step"], validated.progress["steps"]) == (9, 9)
    assert set(artifacts) == {"validation.json", "validation.png", "log.txt"}
    home = str(job_stores.settings.home.parent).encode()
    for artifact in artifacts.values():
        with job_stores.artifacts.open(artifact.key) as file:
            assert home not in file.read()


def test_a_set_that_is_gone_fails_the_job_with_bad_data(
    job_stores: Stores, run_job: RunJob
) -> None:
    """Its folder was removed from below the server."""
    folder = job_stores.settings.data_dir / "moved"
    write_drawn(folder, faults=False)
    job_stores.datasets.register("moved", "coco", "moved")
    shutil.rmtree(folder)

    job = run_job("validate", {"data": {"dataset": "moved"}})

    assert job.error is not None
    assert job.state == State.FAILED
    assert (job.error["reason"], job.error["message"]) == (
        "bad data",
        "moved: does not exist in the data folder",
    )


def test_a_set_of_which_nothing_can_be_read_fails_the_job_with_bad_data(
    job_stores: Stores, run_job: RunJob
) -> None:
    """There is nothing to report on."""
    folder = job_stores.settings.data_dir / "unreadable"
    write_drawn(folder, faults=False)
    job_stores.datasets.register("unreadable", "coco", "unreadable")
    for file in (folder / "annotations").iterdir():
        file.write_text("[")

    job = run_job("validate", {"data": {"dataset": "unreadable"}})

    assert job.error is not None
    assert job.error["reason"] == "bad data"
    assert job.error["message"].startswith("unreadable/annotations/person_keypoints_train.json")


def test_it_ends_when_it_is_asked_to(job_stores: Stores, spoiled: Path, tmp_path: Path) -> None:
    """Before the next photographs, and leaves nothing that looks whole."""
    spec = Validate().prepare(
        Validate().resolve({"data": {"dataset": "spoiled", "split": "train"}}, job_stores),
        job_stores,
    )
    work = Work(spec, tmp_path, False, "cpu", tmp_path / "cache", stop=lambda: True)

    assert not KINDS["validate"].run(work)
    assert {path.name for path in tmp_path.iterdir()} == {"events.jsonl"}
