"""Models come and go under load: no request fails, waits for a load, or gets a mixed answer."""

import gc
import io
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from model.errors import ModelUnusable
from service.errors import NotReady
from service.predict.models import ServedModels
from service.settings import ServiceSettings
from worker.registry import Registry
from worker.stores import open_stores


@pytest.fixture
def registry(with_student: ServiceSettings) -> Registry:
    return open_stores(with_student).registry


@pytest.fixture
def models(registry: Registry) -> ServedModels:
    return ServedModels(registry, provider="cpu", threads=1, keep=2)


def spotted() -> bytes:
    image = Image.new("RGB", (64, 64))
    image.putpixel((20, 30), (255, 255, 255))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_nothing_is_served_before_it_is_loaded(models: ServedModels) -> None:
    """/readyz must not lie while the file is read."""
    with pytest.raises(NotReady, match="being loaded"):
        models.production()


def test_a_promotion_swaps_and_the_old_one_is_kept_until_it_is_unloaded(
    models: ServedModels, registry: Registry, add_student: Callable[[str, float], int]
) -> None:
    """A roll back is instant; who is being served keeps what he began with, and its memory is
    given back with its last request.
    """
    models.refresh()
    old = models.production()
    version = add_student("branch1", 3.0)

    registry.promote("glow", version, who="test")
    models.refresh()

    assert models.production().version == version
    assert models.production().predictor.card.branch == "branch1"
    assert models.get(f"glow:{old.version}") is old
    models.unload("glow", old.version)
    freed = weakref.ref(old.predictor)
    assert freed() is not None
    del old
    gc.collect()
    assert freed() is None
    registry.promote("glow", 1, who="test")


def test_a_broken_promotion_leaves_the_old_one_in_place(
    models: ServedModels, registry: Registry, add_student: Callable[[str, float], int]
) -> None:
    """Another replica may have promoted what only it can run."""
    models.refresh()
    version = add_student("branch1", 4.0)
    registry.open_local("glow", version).write_bytes(b"damaged")

    registry.promote("glow", version, who="test")
    models.refresh()

    assert models.production().version == 1
    registry.promote("glow", 1, who="test")


def test_a_provider_that_is_not_there_is_never_replaced_in_silence(registry: Registry) -> None:
    """A GPU that is silently not used is the commonest complaint about inference servers."""
    models = ServedModels(registry, provider="cuda", threads=1, keep=2)
    models.refresh()

    with pytest.raises(NotReady, match="CUDAExecutionProvider is not in the installed"):
        models.production()
    with pytest.raises(ModelUnusable, match="CUDAExecutionProvider"):
        models.load("glow", 1)


def test_models_asked_by_name_stay_loaded_but_not_for_ever(
    models: ServedModels, add_student: Callable[[str, float], int]
) -> None:
    """Loading for every request would be slow, keeping all would fill the memory."""
    models.refresh()
    versions = [add_student("branch1", 10.0 + i) for i in range(3)]

    first = models.get(f"glow:{versions[0]}")
    assert models.get(f"glow:{versions[0]}") is first
    for version in versions[1:]:
        models.get(f"glow:{version}")

    assert models.get(f"glow:{versions[0]}") is not first
    assert models.get("glow:1") is models.production()


def test_two_threads_that_ask_at_once_load_once(
    models: ServedModels, add_student: Callable[[str, float], int]
) -> None:
    """A popular name after a start would be loaded by every waiting request."""
    version = add_student("branch1", 20.0)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(models.get(f"glow:{version}")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len({id(served) for served in found}) == 1


def test_promoting_rolling_back_and_unloading_under_load_fails_no_request_and_mixes_no_answer(
    client: TestClient, add_student: Callable[[str, float], int]
) -> None:
    """Each answer's points are those of the version that it names."""
    other = add_student("branch1", 5.0)
    expected = {1: 20.0, other: 25.0}
    image, box = spotted(), {"boxes": "[[0, 0, 64, 64]]"}
    seen: list[tuple[int, int, float]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            response = client.post("/predict", content=image, params=box)
            body = response.json()
            joint = body["poses"][0]["keypoints"][0]
            seen.append((response.status_code, body["model"]["version"], joint["x"]))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(20):
        version = (other, 1)[i % 2]
        path = "/models/glow/rollback" if version == 1 else f"/models/glow/versions/{other}/promote"
        assert client.post(path).status_code == 200
        assert client.post("/models/glow/versions/1/load").status_code == 200
        assert client.post(f"/models/glow/versions/{other}/load").status_code == 200
        # what requests hold may be freed beneath them only when they end
        assert client.post(f"/models/glow/versions/{1 + other - version}/unload").status_code == 200
        body = client.post("/predict", content=image, params=box).json()
        assert body["model"]["version"] == version  # at once, in the process that promoted
    stop.set()
    for thread in threads:
        thread.join()

    assert {status for status, _, _ in seen} == {200}
    assert {version for _, version, _ in seen} == {1, other}
    assert all(x == expected[version] for _, version, x in seen)


def test_another_replica_notices_a_promotion(
    client: TestClient,
    with_student: ServiceSettings,
    started: Callable[[ServiceSettings], AbstractContextManager[TestClient]],
    add_student: Callable[[str, float], int],
) -> None:
    """Several API processes share one registry and nothing else."""
    version = add_student("branch1", 7.0)
    with started(with_student) as replica:
        client.post(f"/models/glow/versions/{version}/promote")
        until = time.monotonic() + 5
        while time.monotonic() < until:
            if replica.get("/readyz").json()["model"]["version"] == version:
                break
            time.sleep(0.02)
        else:
            pytest.fail("the replica still serves the old version")
    client.post("/models/glow/versions/1/promote")


def test_a_look_that_began_before_a_promotion_does_not_undo_it(
    client: TestClient, add_student: Callable[[str, float], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch may have read the old version just before; it must not set it afterwards."""
    version = add_student("branch1", 9.0)
    registry = client.app.state.context.stores.registry  # type: ignore[attr-defined]
    models = client.app.state.context.models  # type: ignore[attr-defined]
    read, go_on, real = threading.Event(), threading.Event(), registry.production

    def slow_at_first() -> object:
        found = real()
        if not read.is_set():
            read.set()
            go_on.wait(10)
        return found

    monkeypatch.setattr(registry, "production", slow_at_first)
    look = threading.Thread(target=models.refresh)
    look.start()
    assert read.wait(10)
    promotion = threading.Thread(
        target=client.post, args=[f"/models/glow/versions/{version}/promote"]
    )
    promotion.start()
    promotion.join(1)
    go_on.set()
    promotion.join()
    look.join()

    assert models.production().version == version
