"""GET /metrics: what happened is counted, once, under labels that cannot grow without bound."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from model.predictor import Predictor
from service.metrics.metrics import MODELS, Metrics
from service.settings import ServiceSettings
from worker.store.tables import Need, State
from worker.stores import open_stores

GLOW = {
    "model": "glow",
    "version": "1",
    "branch": "branch0",
    "provider": "CPUExecutionProvider",
}


@pytest.fixture
def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (80, 60)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def client(with_student: ServiceSettings, started: Any) -> Iterator[TestClient]:
    """An application of the test's own: what others did is not in its figures."""
    with started(with_student) as client:
        yield client


def value(client: TestClient, name: str, **labels: str) -> float | None:
    """A sample's value as Prometheus would read it; None where there is none."""
    for family in prometheus(client.get("/metrics").text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def test_a_prediction_is_counted_in_every_stage(client: TestClient, picture: bytes) -> None:
    """Where the time goes is the first question when it is too much."""
    boxes = "[[0, 0, 20, 20], [10, 10, 40, 40], [5, 5, 50, 50]]"
    client.post("/predict", files={"image": picture}, data={"boxes": boxes})

    for stage in ("decode", "preprocess", "queue", "inference", "total", "batch"):
        assert value(client, f"okdhp_{stage}_seconds_count", **GLOW) == 1, stage
    assert value(client, "okdhp_batch_crops_sum", **GLOW) == 3
    stages = [
        value(client, f"okdhp_{stage}_seconds_sum", **GLOW) or 0
        for stage in ("decode", "preprocess", "queue", "inference")
    ]
    total = value(client, "okdhp_total_seconds_sum", **GLOW)
    assert total is not None
    assert 0 < sum(stages) <= total


def test_each_photograph_of_a_request_has_its_stages(client: TestClient, picture: bytes) -> None:
    """Sums over several would look like a slow decoder."""
    client.post("/predict", files=[("image", picture), ("image", picture)])

    assert value(client, "okdhp_decode_seconds_count", **GLOW) == 2
    assert value(client, "okdhp_total_seconds_count", **GLOW) == 1


def test_nobody_on_a_photograph_needs_no_inference(client: TestClient, picture: bytes) -> None:
    """Zeros for work that was never done would make the rest look faster than it is."""
    client.post("/predict", files={"image": picture}, data={"boxes": "[]"})

    assert value(client, "okdhp_total_seconds_count", **GLOW) == 1
    assert value(client, "okdhp_inference_seconds_count", **GLOW) == 0


def test_requests_are_counted_by_template_and_status(client: TestClient) -> None:
    """Of addresses that strangers make up there are more than any memory holds."""
    for job in ("a", "b"):
        client.get(f"/jobs/{job}")
    client.get("/made-up")
    client.request("BREW", "/predict")

    def count(method: str, route: str, status: str) -> float | None:
        name = "okdhp_http_requests_total"
        return value(client, name, method=method, route=route, status=status)

    assert count("GET", "/jobs/{job_id}", "404") == 2
    assert count("GET", "unknown", "404") == 1
    assert count("unknown", "/predict", "405") == 1
    assert value(client, "okdhp_http_request_seconds_count", route="/jobs/{job_id}") == 2


def test_refusals_are_counted_by_reason(client: TestClient, settings: ServiceSettings) -> None:
    """Also those of the layers before any route: an operator asks why, not where."""
    client.post("/predict", content=b"no image")
    client.post("/predict", content=bytes(settings.max_image_bytes + 1))
    client.get("/jobs/a")

    for reason in ("image-unreadable", "body-too-large", "job-unknown"):
        assert value(client, "okdhp_rejections_total", reason=reason) == 1, reason


def test_a_bug_is_counted_as_500(with_student: ServiceSettings, started: Any) -> None:
    """Whoever only counts answers of routes would miss it."""
    with started(with_student) as client:

        @client.app.get("/bug")
        def bug() -> None:
            raise ZeroDivisionError

        assert client.get("/bug").status_code == 500

        counted = {"method": "GET", "route": "/bug", "status": "500"}
        assert value(client, "okdhp_http_requests_total", **counted) == 1
        assert value(client, "okdhp_http_requests_in_flight") == 1  # this very look


def test_jobs_are_counted_by_state_and_kind(
    client: TestClient, with_student: ServiceSettings
) -> None:
    """A queue that grows older means that workers are missing."""
    assert value(client, "okdhp_jobs_oldest_queued_seconds") == 0
    stores = open_stores(with_student)
    first, _ = stores.jobs.add("distill", {}, {})
    stores.jobs.add("distill", {}, {})
    stores.jobs.add("evaluate", {}, {})
    stores.jobs.cancel(first.id)
    stores.close()

    assert value(client, "okdhp_jobs", state=State.QUEUED, kind="distill") == 1
    assert value(client, "okdhp_jobs", state=State.QUEUED, kind="evaluate") == 1
    assert value(client, "okdhp_jobs", state=State.CANCELLED, kind="distill") == 1
    assert [value(client, "okdhp_jobs_queued", needs=need) for need in Need] == [0, 0, 2]
    age = value(client, "okdhp_jobs_oldest_queued_seconds")
    assert age is not None
    assert 0 < age < 60
    assert value(client, "okdhp_store_up") == 1


def test_a_database_that_is_away_hides_nothing_else(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then figures are needed most."""
    database = client.app.state.context.stores.database  # type: ignore[attr-defined]
    with database.writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE jobs RENAME TO away")
    try:
        assert value(client, "okdhp_store_up") == 0
        assert value(client, "okdhp_production", **GLOW) == 1
    finally:
        with database.writing() as session:
            session.connection().exec_driver_sql("ALTER TABLE away RENAME TO jobs")


def test_it_is_openmetrics_where_that_is_asked_for(client: TestClient) -> None:
    """Newer scrapers ask for it; both parse, and the process tells of itself."""
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics(answer.text)}
    assert {"process_resident_memory_bytes", "python_info", "okdhp_queue_seconds"} <= names
    plain = client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")


def test_applications_in_one_process_count_apart(
    with_student: ServiceSettings,
    started: Callable[[ServiceSettings], AbstractContextManager[TestClient]],
    picture: bytes,
) -> None:
    """prometheus-client's own registry is one for the process, and takes a name only once."""
    with started(with_student) as one, started(with_student) as other:
        one.post("/predict", content=picture)

        assert value(one, "okdhp_total_seconds_count", **GLOW) == 1
        assert value(other, "okdhp_total_seconds_count", **GLOW) is None


def test_models_of_long_ago_make_place(brightest: Any) -> None:
    """A server that promotes every night must not gather series for ever."""
    metrics, predictor = Metrics(), Predictor(brightest)

    for version in range(1, MODELS + 11):
        metrics.batch("glow", version, predictor, 1, 0.001)
        metrics.batch("glow", 1, predictor, 1, 0.001)  # it is not silent

    sizes = [
        (sample.labels["version"], sample.value)
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "okdhp_batch_crops_count"
    ]
    assert len(sizes) == MODELS
    assert ("1", MODELS + 11.0) in sizes
    assert str(MODELS + 10) in dict(sizes)
    assert "2" not in dict(sizes)
