"""A job that makes a file of a student, measures it and registers it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.errors import ConfigError
from model.predictor import Predictor
from model.receipt import Receipt
from worker.errors import NameInvalid
from worker.jobs import Work
from worker.jobs.export import Export
from worker.store import Job, State
from worker.stores import Stores

RunJob = Callable[[str, dict[str, Any]], Job]
DRAWN = {"format": "synthetic", "people": 6, "seed": 7}


@pytest.fixture(scope="module")
def best(job_stores: Stores, distilled: Job) -> str:
    """The branch that the distillation exported and registered by itself."""
    return str(job_stores.jobs.metrics(distilled)["best"]["branch"])


@pytest.fixture(scope="module")
def int8(distilled: Job, run_job: RunJob) -> Job:
    """The best branch in int8, on the people that the run learnt from and was judged on."""
    return run_job("export", {"job": distilled.id, "variant": "int8"})


def test_a_job_s_student_is_registered_in_int8(
    job_stores: Stores, distilled: Job, best: str, int8: Job
) -> None:
    """Under its model's name, as that job's branch, with what it lost by the job's own people."""
    assert int8.state == State.SUCCEEDED, int8.error
    assert int8.resolved["branch"] == best
    version = job_stores.registry.resolve("small@int8")
    assert (version.job_id, version.branch, version.variant) == (distilled.id, best, "int8")
    assert "pck@0.2" in version.metrics["synthetic"]
    receipt = Receipt.model_validate(version.receipt)
    assert receipt.against_fp32 is not None
    assert receipt.against_fp32.sha256 == job_stores.registry.get("small", 1).sha256
    assert receipt.against_fp32.ranges is not None
    assert receipt.against_fp32.ranges.people == 8
    assert [change.people for change in receipt.against_fp32.changes] == [4, 4, 4]
    assert receipt.run == distilled.id


def test_what_is_served_by_default_stays_float32(job_stores: Stores, int8: Job) -> None:
    """Whoever wants fewer bits names them."""
    assert job_stores.registry.resolve("small").variant == "fp32"
    (entry,) = [e for e in job_stores.registry.models() if e.name == "small"]
    assert entry.default == job_stores.registry.resolve("small").version


def test_the_job_leaves_file_receipt_and_figures(job_stores: Stores, best: str, int8: Job) -> None:
    """And tells no path of the server."""
    there = {a.name: a for a in job_stores.jobs.artifacts(int8.id)}
    assert set(there) == {f"{best}-int8.onnx", f"{best}-int8.receipt.json", "log.txt"}
    file = there[f"{best}-int8.onnx"]
    assert Predictor(job_stores.artifacts.fetch(file.key, file.sha256)).card.precision == "int8"
    assert int8.result is not None
    assert int8.result["against_fp32"]["changes"][0]["metric"] == "pck@0.2"
    home = str(job_stores.settings.home).encode()
    for artifact in there.values():
        with job_stores.artifacts.open(artifact.key) as stored:
            assert home not in stored.read(), artifact.name


def test_a_branch_that_the_job_never_exported_is_made_of_its_weights(
    job_stores: Stores, distilled: Job, best: str, run_job: RunJob
) -> None:
    """In float32, with the receipt that the run would have given it."""
    (other,) = {"branch0", "branch1"} - {best}

    job = run_job("export", {"job": distilled.id, "branch": other, "name": "others"})

    assert job.state == State.SUCCEEDED, job.error
    version = job_stores.registry.resolve("others:1")
    assert (version.branch, version.variant, version.job_id) == (other, "fp32", distilled.id)
    receipt = Receipt.model_validate(version.receipt)
    assert receipt.accuracy[0].metrics  # type: ignore[union-attr]
    assert receipt.made.code is not None
    assert receipt.against_fp32 is None


def test_a_registered_model_is_exported_in_fp16_on_people_that_are_named(
    job_stores: Stores, distilled: Job, run_job: RunJob
) -> None:
    """Under another name, where it is the only version and so what the name means."""
    config = {"model": "small", "variant": "fp16", "measure": DRAWN, "name": "light"}

    job = run_job("export", config)

    assert job.state == State.SUCCEEDED, job.error
    assert job.resolved["model"] == "small:1"
    version = job_stores.registry.resolve("light")
    receipt = Receipt.model_validate(version.receipt)
    assert version.variant == "fp16"
    assert [of.people for of in receipt.accuracy] == [6]  # type: ignore[union-attr]
    assert Predictor(job_stores.registry.open_local("light", 1)).card.precision == "fp16"


def test_float32_is_measured_on_further_people(
    job_stores: Stores, distilled: Job, run_job: RunJob
) -> None:
    """The file stays, the receipt gains a set."""
    config = {"model": "small:1", "measure": DRAWN, "name": "again"}

    job = run_job("export", config)

    assert job.state == State.SUCCEEDED, job.error
    before, after = (job_stores.registry.get(name, 1) for name in ("small", "again"))
    assert after.sha256 == before.sha256
    receipt = Receipt.model_validate(after.receipt)
    assert [of.people for of in receipt.accuracy] == [4, 6]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"model": "small@int8", "variant": "fp16"}, "model: small:2 computes in int8"),
        ({"model": "small", "variant": "int4"}, "variant: found 'int4'"),
        ({"model": "small", "name": "n", "calibrate": DRAWN}, "calibrate: is of no use for fp32"),
        (
            {"model": "small", "name": "n", "variant": "int8", "calibrate": DRAWN,
             "measure": DRAWN},
            "calibrate: shares people with",
        ),
        (
            {"model": "small", "name": "n", "variant": "int8",
             "calibrate": DRAWN | {"people": 5000}},
            "calibrate.people: found 5,000; accepted: at most 4,096",
        ),
        (
            {"model": "small", "name": "n", "measure": {"format": "lsp", "path": "/etc"}},
            "measure.path: a job cannot name a path",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_when_posted(
    job_stores: Stores, int8: Job, asked: dict[str, Any], fault: str
) -> None:
    """With the key at fault."""
    with pytest.raises(ConfigError, match=fault):
        Export().resolve(asked, job_stores)


def test_who_did_not_come_from_one_training_is_measured_on_people_that_are_named(
    job_stores: Stores, distilled: Job
) -> None:
    """As a comparison's winner, or a file that came from elsewhere."""
    onnx = job_stores.registry.open_local("small", 1)
    compared, _ = job_stores.jobs.add("compare", {}, {"config": {}})
    for name, job_id in (("winner", compared.id), ("stranger", None)):
        job_stores.registry.add_version(name, onnx, {"branch": "branch0"}, {}, job_id)
        asked = {"model": name, "variant": "fp16"}

        with pytest.raises(ConfigError, match="measure: is missing"):
            Export().resolve(asked, job_stores)
        assert Export().resolve(asked | {"measure": DRAWN}, job_stores)["model"] == f"{name}:1"


def test_a_model_s_name_is_checked(job_stores: Stores, distilled: Job) -> None:
    """Before anything is computed for it."""
    with pytest.raises(NameInvalid):
        Export().resolve({"model": "small", "name": "../x"}, job_stores)


def test_an_export_that_is_asked_to_end_leaves_no_student(
    job_stores: Stores, distilled: Job, tmp_path: Path
) -> None:
    """It begins anew the next time."""
    config = {"model": "small", "variant": "fp16", "measure": DRAWN, "name": "never"}
    spec = Export().prepare(Export().resolve(config, job_stores), job_stores)

    ended = Export().run(Work(spec, tmp_path, False, "cpu", tmp_path, stop=lambda: True))

    assert not ended
    told = [json.loads(line)["kind"] for line in (tmp_path / "events.jsonl").open()]
    assert told == ["started"]
