"""The doctor names the part that is broken, and lasting harm is none of its business."""

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from service.doctor import Finding, Verdict, examine
from service.settings import ServiceSettings
from worker.broker import EmbeddedBroker
from worker.roles import Role
from worker.store import Need
from worker.stores import open_stores


def findings(settings: ServiceSettings) -> dict[str, Finding]:
    return {finding.part: finding for finding in examine(settings)}


def faults(settings: ServiceSettings) -> list[str]:
    return [part for part, one in findings(settings).items() if one.verdict is Verdict.FAULT]


@pytest.fixture
def well(with_student: ServiceSettings, tmp_path: Path) -> ServiceSettings:
    """A home in order, of the test's own, with nothing that runs."""
    home = tmp_path / "home"
    shutil.copytree(with_student.home, home)
    return ServiceSettings(home=home)


def test_before_the_first_start_nothing_is_broken_and_nothing_is_made(tmp_path: Path) -> None:
    """It may be asked on a machine where there is nothing yet."""
    home = tmp_path / "home"

    found = findings(ServiceSettings(home=home))

    assert {one.verdict for one in found.values()} == {Verdict.OK, Verdict.NOTE}
    assert not home.exists()


def test_a_running_server_is_well(serve: Callable[..., Any], well: ServiceSettings) -> None:
    """With its embedded broker and its worker, who is named with what it serves."""
    server = serve(well.home)
    settings = ServiceSettings(home=well.home)
    for _ in range(20):
        found = findings(settings)
        if "workers" in found and found["workers"].verdict is Verdict.OK:
            break

    assert {part: one.verdict for part, one in found.items()} == dict.fromkeys(found, Verdict.OK)
    assert found.keys() == {
        *("home", "database", "artifacts", "broker", "workers"),
        *("jobs", "data sets", "API keys", "model", "training"),
    }
    assert found["workers"].found.startswith("okdhp@")
    assert " for any, " in found["workers"].found
    assert not list(well.home.glob("artifacts/doctor*"))
    with closing(open_stores(settings)) as stores:
        stores.jobs.add("distill", {}, {}, needs=Need.GPU)
    jobs = findings(settings)["jobs"]
    if "gpu" not in found["workers"].found:
        assert jobs.found.endswith("1 queued; no worker serves 1 for gpu")
    assert server.end() == 0


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("database", {"database_url": "postgresql://me:secret@127.0.0.1:1/okdhp"}),
        ("database", {"database_url": "mysql://127.0.0.1/okdhp"}),
        ("artifacts", {"artifacts_url": "file:///proc/self"}),
        ("artifacts", {"artifacts_url": "gopher://nowhere"}),
        ("broker", {"broker_url": "redis://:secret@127.0.0.1:1"}),
        ("model", {"provider": "cuda"}),
    ],
)
def test_a_part_that_does_not_work_is_named(
    well: ServiceSettings, part: str, change: dict[str, str]
) -> None:
    """With what to do, and without a password."""
    found = findings(well.model_copy(update=change))

    broken = [one for one in found.values() if one.verdict is Verdict.FAULT]
    assert [one.part for one in broken] == [part]
    assert broken[0].remedy
    assert "secret" not in str(found)


def test_files_that_are_gone_are_named(well: ServiceSettings) -> None:
    """A model's or a data set's: somebody has tidied up."""
    shutil.rmtree(Path(well.artifacts_url.removeprefix("file://")) / "models")

    assert faults(well) == ["model"]


def test_keys_that_are_all_revoked_are_a_fault(well: ServiceSettings) -> None:
    """Nobody is let in then."""
    stores = open_stores(well)
    stores.keys.create("one", Role.ADMIN)
    assert faults(well) == []
    stores.keys.revoke("one")
    stores.close()

    assert faults(well) == ["API keys"]


def test_a_brokers_password_is_needed(well: ServiceSettings, tmp_path: Path) -> None:
    """A real server that asks for one; the right one is not shown."""
    with EmbeddedBroker(tmp_path / "b") as broker:
        socket = broker.url.removeprefix("redis+socket://")
        with Redis(unix_socket_path=socket) as client:
            client.config_set("requirepass", "secret")

        assert faults(well.model_copy(update={"broker_url": broker.url})) == ["broker"]
        found = findings(well.model_copy(update={"broker_url": f"redis+socket://:secret@{socket}"}))
        assert found["broker"].verdict is Verdict.OK
        assert "secret" not in str(found)
