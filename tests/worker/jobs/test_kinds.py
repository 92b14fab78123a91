"""The real job kinds, through the real supervisor and child, on a few drawn figures."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from model.errors import ConfigError, PoseError
from model.predictor import Predictor
from worker import registry as registry_file
from worker.jobs import KINDS, Work
from worker.jobs.audit import Audit
from worker.jobs.evaluate import Evaluate
from worker.registry import read_card
from worker.settings import WorkerSettings
from worker.store import Job, State
from worker.stores import Stores, open_stores

RunJob = Callable[[str, dict[str, Any]], Job]
DRAWN = {"format": "synthetic", "people": 6, "seed": 7}


@pytest.fixture(scope="module")
def stores(job_stores: Stores) -> Stores:
    return job_stores


def test_a_distillation_succeeds_with_metrics_and_artifacts(stores: Stores, distilled: Job) -> None:
    """What a person wants to see of it."""
    assert distilled.state == State.SUCCEEDED, distilled.error
    metrics = stores.jobs.metrics(distilled)
    assert [entry["epoch"] for entry in metrics["history"]] == [1, 2]
    assert set(metrics["latest"]["branches"]) == {"branch0", "branch1"}
    assert set(metrics["best"]) == {"branch", "epoch", "metric", "score"}
    names = {a.name for a in stores.jobs.artifacts(distilled.id)}
    best = metrics["best"]["branch"]
    assert names >= {
        f"{best}.onnx",
        f"{best}.receipt.json",
        "best.pt",
        "curves.png",
        "predictions.png",
        "metrics.json",
        "log.txt",
    }


def test_a_distillation_registers_its_best_branch(stores: Stores, distilled: Job) -> None:
    """Under the name that its config exports to, not yet in production."""
    version = stores.registry.resolve("small")

    assert (version.version, version.job_id) == (1, distilled.id)
    assert version.card["branch"] == stores.jobs.metrics(distilled)["best"]["branch"]
    assert "pck@0.2" in version.metrics["synthetic"]
    assert stores.registry.promotions() == []
    path = stores.registry.open_local("small", 1)
    assert Predictor(path).card.run == distilled.id
    receipt = stores.registry.receipt("small", 1)
    assert (receipt["run"], receipt["file"]["sha256"]) == (distilled.id, version.sha256)


def test_a_distillation_begins_with_another_s_weights(
    stores: Stores, distilled: Job, small: dict[str, Any], run_job: RunJob
) -> None:
    """By the job's id, on another skeleton; the manifest says whose, and no path."""
    changes = {
        "data": small["data"] | {"skeleton": "lsp14"},
        "training": {"epochs": 1, "batch_size": 4, "init": distilled.id},
        "export": {"name": "tuned"},
    }

    job = run_job("distill", small | changes)

    assert job.state == State.SUCCEEDED, job.error
    assert job.resolved["training"]["init"] == distilled.id
    best = stores.jobs.artifact(distilled.id, "best.pt")
    with stores.artifacts.open(stores.jobs.artifact(job.id, "manifest.json").key) as file:
        text = file.read()
    init = json.loads(text)["init"]
    assert (init["run"], init["sha256"]) == (distilled.id, best.sha256)
    assert str(stores.settings.home).encode() not in text


def test_no_artifact_of_a_distillation_tells_a_path_of_the_server(
    stores: Stores, distilled: Job
) -> None:
    """They are for everybody who may ask."""
    home = str(stores.settings.home).encode()
    for artifact in stores.jobs.artifacts(distilled.id):
        with stores.artifacts.open(artifact.key) as file:
            assert home not in file.read(), artifact.name


def test_a_registered_model_is_measured(stores: Stores, distilled: Job, run_job: RunJob) -> None:
    """With its version pinned when the job is posted."""
    config = {"model": "small", "data": {"format": "synthetic", "people": 4, "seed": 2}}

    job = run_job("evaluate", config)

    assert job.state == State.SUCCEEDED, job.error
    assert job.resolved["model"] == "small:1"
    assert job.result is not None
    assert job.result["people"] == 4
    assert job.result["protocol"]["provider"] == "CPUExecutionProvider"
    assert [a.name for a in stores.jobs.artifacts(job.id)] == ["log.txt", "metrics.json"]


def test_a_run_is_measured_by_its_job(stores: Stores, distilled: Job, run_job: RunJob) -> None:
    """Whole, with the figures that it found itself when it finished; whether registered or not."""
    config = {"job": distilled.id, "data": {"format": "synthetic", "people": 4, "seed": 2}}

    job = run_job("evaluate", config)

    assert job.state == State.SUCCEEDED, job.error
    assert job.result is not None
    assert distilled.result is not None
    assert set(job.result) == {"branch0", "branch1", "ensemble", "protocol"}
    finished = distilled.result["valid"]["synthetic"]
    for name in ("branch0", "branch1", "ensemble"):
        assert job.result[name]["pck@0.2"] == finished[name]["pck@0.2"]


def test_a_branch_of_a_job_is_measured_as_its_file_serves(
    stores: Stores, distilled: Job, run_job: RunJob
) -> None:
    """The same figures as of the version that the job registered."""
    best = stores.jobs.metrics(distilled)["best"]["branch"]
    data = {"format": "synthetic", "people": 4, "seed": 2}

    job = run_job("evaluate", {"job": distilled.id, "branch": best, "data": data})

    assert job.state == State.SUCCEEDED, job.error
    assert job.result is not None
    assert job.result["protocol"]["provider"] == "CPUExecutionProvider"
    registered = stores.registry.get("small", 1).metrics["synthetic"]
    assert job.result["pck@0.2"]["mean"] == pytest.approx(registered["pck@0.2"], abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("evaluate", {"model": "small", "data": DRAWN}),
        ("evaluate", {"job": "DISTILLED", "data": DRAWN}),
        ("export", {"job": "DISTILLED", "variant": "int8"}),
        ("export", {"model": "small", "variant": "fp16", "measure": DRAWN, "name": "n"}),
        ("predict", {"model": "small", "data": DRAWN}),
    ],
)
def test_a_job_that_is_resumed_is_checked_by_what_it_resolved_to(
    stores: Stores, distilled: Job, kind: str, config: dict[str, Any]
) -> None:
    """Which is the same again: versions and branches are pinned by then."""
    asked = config | ({"job": distilled.id} if "job" in config else {})

    resolved = KINDS[kind].resolve(asked, stores)

    assert KINDS[kind].resolve(resolved, stores) == resolved


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_s_example_could_be_posted(stores: Stores, kind: str) -> None:
    """Where the data sets, models and jobs are there that it names."""
    try:
        KINDS[kind].resolve(KINDS[kind].example, stores)
    except PoseError as error:
        assert re.search("there is no (data set|model|job)|does not exist", str(error))


def test_a_student_that_a_job_left_is_registered_by_its_branch(
    stores: Stores, distilled: Job
) -> None:
    """By the names that a real job gives to its artifacts; the best one is there already."""
    best = stores.jobs.metrics(distilled)["best"]["branch"]
    left = stores.jobs.artifacts(distilled.id)

    assert stores.registry.add_branch("small", distilled.id, best, left).version == 1
    assert stores.registry.add_branch("other", distilled.id, best, left).receipt is not None


@pytest.mark.parametrize(
    ("student", "fault"),
    [
        ({"model": "small", "job": "x"}, "names both"),
        ({"branch": "branch0"}, "is of a `job`"),
        ({"job": "\0"}, r"job: found '\\x00'; accepted: the id of a distill job"),
        ({"job": str(UUID(int=7))}, "job: there is no job '0000"),
        ({"job": "DISTILLED", "branch": "b"}, "has no branch 'b'; accepted: branch0, branch1"),
        ({"job": "AUDITED"}, "is of kind audit"),
        ({"job": "QUEUED"}, "has no best.pt: it is queued"),
    ],
)
def test_a_student_that_is_not_there_is_told_when_the_job_is_posted(
    stores: Stores, distilled: Job, audited: Job, student: dict[str, str], fault: str
) -> None:
    """With the key, and what is accepted."""
    queued, _ = stores.jobs.add("distill", {}, distilled.resolved)
    ids = {"DISTILLED": distilled.id, "AUDITED": audited.id, "QUEUED": queued.id}
    asked = {key: ids.get(value, value) for key, value in student.items()}

    with pytest.raises(ConfigError, match=fault):
        Evaluate().resolve({"data": {"format": "synthetic"}, **asked}, stores)


@pytest.fixture(scope="module")
def audited(distilled: Job, small: dict[str, Any], run_job: RunJob) -> Job:
    """An audit of what the distillation learnt from, and of people whom it has not seen."""
    data = [*small["data"]["train"], {"format": "synthetic", "people": 5, "seed": 3}]
    return run_job("audit", {"run": distilled.id, "data": data, "top": 2})


def test_labels_are_audited_by_a_distillation_s_branches(
    stores: Stores, distilled: Job, audited: Job
) -> None:
    """A table, counts, a picture and weights; who was learnt from is told."""
    assert audited.state == State.SUCCEEDED, audited.error
    assert audited.result is not None
    assert [set_["known_people"] for set_ in audited.result["sets"]] == [8, 0]
    assert audited.result["settings"]["runs"][0]["name"] == distilled.id
    names = {a.name for a in stores.jobs.artifacts(audited.id)}
    assert names == {"audit.csv", "audit.json", "audit.png", "weights.npz", "log.txt"}
    home = str(stores.settings.home).encode()
    for artifact in stores.jobs.artifacts(audited.id):
        with stores.artifacts.open(artifact.key) as file:
            assert home not in file.read(), artifact.name


def test_a_distillation_takes_an_audit_s_weights_by_its_job(
    stores: Stores, audited: Job, small: dict[str, Any], run_job: RunJob
) -> None:
    """And says so."""
    config = {**small, "data": {**small["data"], "weights": audited.id}}

    job = run_job("distill", config)

    assert job.state == State.SUCCEEDED, job.error
    manifest = stores.jobs.artifact(job.id, "manifest.json")
    with stores.artifacts.open(manifest.key) as file:
        weights = json.load(file)["train"]["weights"]
    assert weights["sets"] == ["synthetic"]


def test_an_audit_asks_distillations_and_nobody_else(
    stores: Stores, distilled: Job, audited: Job
) -> None:
    """Each wrong name with its key, before the job is written."""
    data = [{"format": "synthetic", "people": 5, "seed": 3}]
    for given, fault in (
        ({"run": audited.id}, f"run: job {audited.id} is of kind audit"),
        ({"run": "gym"}, "run: found 'gym'; accepted: the id of a distill job"),
        ({"run": distilled.id, "other_runs": ["gym"]}, r"other_runs\[0\]: found 'gym'"),
        ({"run": distilled.id, "data": []}, "data: found"),
        ({"run": distilled.id, "data": [{"format": "lsp", "path": "/x"}]}, r"data\[0\].path"),
    ):
        with pytest.raises(ConfigError, match=fault):
            Audit().resolve({"data": data, **given}, stores)


def test_an_audit_that_is_asked_to_end_leaves_nothing(
    stores: Stores, distilled: Job, tmp_path: Path
) -> None:
    """It begins anew the next time."""
    data = [{"format": "synthetic", "people": 5, "seed": 3}]
    spec = Audit().prepare({"run": distilled.id, "data": data}, stores)

    ended = Audit().run(Work(spec, tmp_path, False, "cpu", tmp_path, stop=lambda: True))

    assert not ended
    assert [file.name for file in tmp_path.iterdir()] == ["events.jsonl"]


def test_the_bundled_student_is_promoted_where_nothing_is(
    stores: Stores, distilled: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """At the first start only: later it is a person's choice."""
    monkeypatch.setattr(registry_file, "BUNDLED", stores.registry.open_local("small", 1))
    stores.registry.ensure_bundled()
    stores.registry.ensure_bundled()

    production = stores.registry.production()
    assert (production.model, production.version) == ("okdhp", 1)
    assert [(p.who, p.why) for p in stores.registry.promotions()] == [
        ("okdhp", "shipped with the program")
    ]

    stores.registry.promote("small", 1, who="ada")
    newer = tmp_path / "newer.onnx"
    newer.write_bytes(stores.registry.open_local("small", 1).read_bytes() + b"\x92\x01\x00")
    monkeypatch.setattr(registry_file, "BUNDLED", newer)
    monkeypatch.setattr(registry_file, "read_card", lambda path: read_card_of(stores))
    stores.registry.ensure_bundled()

    assert stores.registry.resolve("okdhp:2").version == 2
    assert stores.registry.production().model == "small"


def read_card_of(stores: Stores) -> dict:
    return read_card(stores.registry.open_local("small", 1))


def test_where_no_student_ships_nothing_is_registered(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The service then says that it is not ready, rather than dying."""
    monkeypatch.setattr(registry_file, "BUNDLED", tmp_path / "none.onnx")
    stores = open_stores(settings)

    stores.registry.ensure_bundled()

    assert stores.registry.models() == []
    stores.close()


def test_the_worker_s_own_process_never_imports_torch() -> None:
    """Only the child does: the service imports the worker, and serves without torch."""
    code = (
        "import sys, json, worker.main, worker.submission;"
        "print(json.dumps([m for m in ('torch', 'matplotlib', 'onnx') if m in sys.modules]))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert json.loads(shown.stdout) == []
