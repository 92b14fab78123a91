"""Names of models and jobs in a training's configuration: refused or pinned, and found again."""

from pathlib import Path
from typing import Any

import pytest

from model.config import load_config
from model.errors import ConfigError
from worker.errors import ArtifactUnusable
from worker.jobs.references import REFERENCES, Reference, pinned, placed
from worker.stores import Stores

KEYS = [reference.where for reference in REFERENCES]
MISSING = "5a1fb1a6-0000-4000-8000-000000000000"


def tree(where: str, value: str) -> dict[str, Any]:
    """A whole configuration with one reference."""
    part, key = where.split(".")
    given: dict[str, Any] = {"preset": "tiny", part: {key: value}}
    if where == "scheme.teacher":
        given[part]["name"] = "fpd"
    return load_config(given).model_dump(mode="json")


def at(config: dict[str, Any], where: str) -> str:
    part, key = where.split(".")
    return str(config[part][key])


def reference(where: str) -> Reference:
    return next(r for r in REFERENCES if r.where == where)


def job_with(stores: Stores, file: Path, *, kind: str, artifact: str | None) -> str:
    """A job in work that has left one file."""
    job, _ = stores.jobs.add(kind, {}, {})
    claim = stores.jobs.claim(job.id, "tester")
    if artifact is not None:
        stored = stores.artifacts.put(file, f"jobs/{job.id}/{artifact}")
        stores.jobs.add_artifact(claim, artifact, stored.key, stored.bytes, stored.sha256)
    return job.id


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "result"
    path.write_bytes(b"weights")
    return path


def test_a_model_s_version_is_pinned_when_the_job_is_posted(stores: Stores, file: Path) -> None:
    """A promotion while it waits in the queue changes nothing; the file is this host's."""
    for _ in range(2):
        stores.registry.add_version("pose", file, {}, {})
        file.write_bytes(b"newer weights")

    config = pinned(tree("training.init", "pose"), stores)
    stores.registry.add_version("pose", file, {}, {})

    assert at(config, "training.init") == "pose:2"
    local = Path(at(placed(config, stores), "training.init"))
    assert local == stores.registry.open_local("pose", 2)
    assert load_config(config).training.init == "pose:2"


@pytest.mark.parametrize("where", KEYS)
def test_a_job_s_result_is_found(stores: Stores, file: Path, where: str) -> None:
    """By its id, which stays in the stored configuration."""
    wanted = reference(where)
    job_id = job_with(stores, file, kind=wanted.kind, artifact=wanted.artifact)

    config = pinned(tree(where, job_id), stores)

    assert at(config, where) == job_id
    assert Path(at(placed(config, stores), where)).read_bytes() == b"weights"


@pytest.mark.parametrize("where", KEYS)
@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../home/jobs", "file:///etc/passwd", "s3://bucket/best.pt", ""]
)
def test_a_job_cannot_name_a_place_of_the_server(stores: Stores, where: str, path: str) -> None:
    """Nobody learns by posting jobs what lies on its disk or within its network."""
    with pytest.raises(ConfigError) as refusal:
        pinned(tree(where, path), stores)

    assert str(refusal.value) == f"{where}: found {path!r}; accepted: {reference(where).accepted}"


@pytest.mark.parametrize("where", KEYS)
def test_another_kind_of_job_is_refused(stores: Stores, file: Path, where: str) -> None:
    """And one that is not there, and one without a result yet."""
    wanted = reference(where)
    other = job_with(stores, file, kind="evaluate", artifact=wanted.artifact)
    early = job_with(stores, file, kind=wanted.kind, artifact=None)

    for job_id, problem in (
        (other, f"job {other} is of kind evaluate"),
        (early, f"job {early} has no {wanted.artifact}: it is starting"),
        (MISSING, f"there is no job '{MISSING}'"),
    ):
        with pytest.raises(ConfigError) as refusal:
            pinned(tree(where, job_id), stores)
        assert str(refusal.value) == f"{where}: {problem}; accepted: {wanted.accepted}"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nothing", "there is no model 'nothing'"),
        ("pose:7", "model 'pose' has no version '7'; there are: 1"),
    ],
)
def test_a_model_that_is_not_registered_is_refused(
    stores: Stores, file: Path, name: str, problem: str
) -> None:
    """With what is there; teachers and weights of labels are never models."""
    stores.registry.add_version("pose", file, {}, {})

    with pytest.raises(ConfigError) as refusal:
        pinned(tree("training.init", name), stores)

    assert str(refusal.value).startswith(f"training.init: {problem}; accepted: a registered model")


def test_a_result_that_is_gone_from_the_store_is_told(stores: Stores, file: Path) -> None:
    """Between posting and starting: the job fails with that message."""
    job_id = job_with(stores, file, kind="distill", artifact="best.pt")
    config = pinned(tree("training.init", job_id), stores)
    Path(at(placed(config, stores), "training.init")).unlink()

    with pytest.raises(ArtifactUnusable, match="is gone"):
        placed(config, stores)


def test_a_configuration_without_references_stays_as_it_is(stores: Stores) -> None:
    """What most are."""
    config = load_config({"preset": "tiny"}).model_dump(mode="json")

    assert placed(pinned(config, stores), stores) == config
