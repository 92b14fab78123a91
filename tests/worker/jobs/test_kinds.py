"""The real job kinds, through the real supervisor and child, on a few drawn figures."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.predictor import Predictor
from worker import registry as registry_file
from worker.registry import read_card
from worker.settings import WorkerSettings
from worker.store import Job, State
from worker.stores import Stores, open_stores
from worker.supervisor import Supervisor

SMALL = {
    "preset": "tiny",
    "data": {
        "crop_px": [32, 32],
        "train": [{"format": "synthetic", "people": 8, "seed": 1}],
        "valid": [{"format": "synthetic", "people": 4, "seed": 2}],
    },
    "network": {"width": 8, "depth": 1},
    "training": {"epochs": 2, "batch_size": 4},
    "export": {"name": "small"},
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    opened = open_stores(WorkerSettings(home=tmp_path_factory.mktemp("home"), device="cpu"))
    yield opened
    opened.close()


def run(stores: Stores, kind: str, config: dict) -> Job:
    supervisor = Supervisor(stores)
    job, _ = stores.jobs.add(kind, config, supervisor.kinds[kind].resolve(config, stores))
    supervisor.run(job.id)
    return stores.jobs.get(job.id)


@pytest.fixture(scope="module")
def distilled(stores: Stores) -> Job:
    """A distillation that has ended."""
    return run(stores, "distill", SMALL)


def test_a_distillation_succeeds_with_metrics_and_artifacts(stores: Stores, distilled: Job) -> None:
    """What a person wants to see of it."""
    assert distilled.state == State.SUCCEEDED, distilled.error
    metrics = stores.jobs.metrics(distilled)
    assert [entry["epoch"] for entry in metrics["history"]] == [1, 2]
    assert set(metrics["latest"]["branches"]) == {"branch0", "branch1"}
    assert set(metrics["best"]) == {"branch", "epoch", "metric", "score"}
    names = {a.name for a in stores.jobs.artifacts(distilled.id)}
    best = metrics["best"]["branch"]
    assert names >= {f"{best}.onnx", "curves.png", "predictions.png", "metrics.json", "log.txt"}


def test_a_distillation_registers_its_best_branch(stores: Stores, distilled: Job) -> None:
    """Under the name that its config exports to, not yet in production."""
    version = stores.registry.resolve("small")

    assert (version.version, version.job_id) == (1, distilled.id)
    assert version.card["branch"] == stores.jobs.metrics(distilled)["best"]["branch"]
    assert "pck@0.2" in version.metrics["synthetic"]
    assert stores.registry.promotions() == []
    path = stores.registry.open_local("small", 1)
    assert Predictor(path).card.run == distilled.id


def test_no_artifact_of_a_distillation_tells_a_path_of_the_server(
    stores: Stores, distilled: Job
) -> None:
    """They are for everybody who may ask."""
    home = str(stores.settings.home).encode()
    for artifact in stores.jobs.artifacts(distilled.id):
        with stores.artifacts.open(artifact.key) as file:
            assert home not in file.read(), artifact.name


def test_a_registered_model_is_measured(stores: Stores, distilled: Job) -> None:
    """With its version pinned when the job is posted."""
    config = {"model": "small", "data": {"format": "synthetic", "people": 4, "seed": 2}}

    job = run(stores, "evaluate", config)

    assert job.state == State.SUCCEEDED, job.error
    assert job.resolved["model"] == "small:1"
    assert job.result is not None
    assert job.result["people"] == 4
    assert job.result["protocol"]["provider"] == "CPUExecutionProvider"
    assert [a.name for a in stores.jobs.artifacts(job.id)] == ["log.txt", "metrics.json"]


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
