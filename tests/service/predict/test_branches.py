"""Branches of one run that are all registered: together as an ensemble, or the smaller in need."""

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import onnx
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from service.predict.admission import Admission
from service.predict.degrade import CALM_S, STEP_S, Degrader
from service.predict.models import ServedModels
from service.settings import ServiceSettings
from worker.stores import open_stores

Started = Callable[[ServiceSettings], AbstractContextManager[TestClient]]

SPOT = (30, 20)
SHIFTS_PX = {"large": 0.0, "middle": 2.0, "small": 4.0}
"""By how much each branch errs to the right, so that its answers can be told."""


@pytest.fixture(scope="module")
def run(
    settings: ServiceSettings,
    write_student: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> ServiceSettings:
    """A home where three branches of one job are registered and the largest is in production."""
    folder = tmp_path_factory.mktemp("branches")
    stores = open_stores(settings)
    job, _ = stores.jobs.add("distill", {}, {})
    for ballast, (branch, shift_px) in zip((4000, 2000, 0), SHIFTS_PX.items(), strict=True):
        file = write_student(folder / f"{branch}.onnx", branch, shift_px)
        model = onnx.load(file)
        model.doc_string = "x" * ballast  # larger branches are larger files
        onnx.save(model, file)
        card = json.loads(model.metadata_props[0].value)
        stores.registry.add_version("gym", file, card, {}, job_id=job.id)
    stores.registry.promote("gym", 1, who="test")
    stores.close()
    return settings


@pytest.fixture(scope="module")
def gym(run: ServiceSettings, started: Started) -> Iterator[TestClient]:
    with started(run) as client:
        yield client


def spotted() -> bytes:
    image = Image.new("RGB", (64, 64))
    image.putpixel(SPOT, (255, 255, 255))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_an_ensemble_is_the_mean_of_the_runs_branches(gym: TestClient) -> None:
    """All three see the crop, and the answer names them."""
    body = gym.post("/predict?ensemble=true", content=spotted()).json()

    assert body["model"]["branch"] == "large+middle+small"
    assert body["poses"][0]["keypoints"][0]["x"] == pytest.approx(SPOT[0] + 2, abs=0.01)
    assert body["poses"][0]["keypoints"][0]["y"] == pytest.approx(SPOT[1], abs=0.01)


def test_an_ensemble_begins_with_the_model_that_was_asked_for(gym: TestClient) -> None:
    """By whichever of its branches the run is named."""
    body = gym.post("/predict?ensemble=true&model=gym:3", content=spotted()).json()

    assert body["model"]["branch"] == "large+middle+small"


@pytest.fixture
def pressed(run: ServiceSettings) -> Iterator[tuple[Degrader, Admission, list[float]]]:
    """What chooses, the places, and the time; three branches are loaded."""
    stores = open_stores(run)
    models = ServedModels(stores.registry, provider="cpu", threads=1, keep=3)
    models.refresh()
    admission, now = Admission(16), [0.0]
    degrader = Degrader(models, admission, clock=lambda: now[0])
    degrader.look()
    yield degrader, admission, now
    stores.close()


def who(degrader: Degrader) -> str:
    return degrader.choose().predictor.card.branch


def test_under_pressure_a_smaller_branch_answers_and_in_calm_the_largest_again(
    pressed: tuple[Degrader, Admission, list[float]],
) -> None:
    """Step by step, and not back before the calm has lasted."""
    degrader, admission, now = pressed
    assert who(degrader) == "large"

    admission.inside = 8
    now[0] += STEP_S
    assert who(degrader) == "middle"
    assert who(degrader) == "middle", "the step has had no time to take effect"
    for _ in range(5):
        now[0] += STEP_S
        last = who(degrader)
    assert last == "small", "there is none smaller"

    admission.inside = 4
    now[0] += 10 * CALM_S
    assert who(degrader) == "small", "a quarter is no calm yet"
    admission.inside = 2
    now[0] += 0.9 * CALM_S
    assert who(degrader) == "small"
    now[0] += 0.2 * CALM_S
    assert who(degrader) == "middle"
    now[0] += 1.1 * CALM_S
    assert who(degrader) == "large"


def test_a_promotion_is_followed_at_once(
    pressed: tuple[Degrader, Admission, list[float]], run: ServiceSettings
) -> None:
    """The ladder of the old run must not answer in the new one's place."""
    degrader, admission, now = pressed
    admission.inside = 16
    now[0] += STEP_S
    assert who(degrader) == "middle"
    stores = open_stores(run)
    try:
        stores.registry.promote("gym", 3, who="test")
        degrader._models.refresh()
        assert who(degrader) == "small"
        degrader.look()
        now[0] += STEP_S
        assert who(degrader) == "small", "nothing larger than production answers"
    finally:
        stores.registry.promote("gym", 1, who="test")
        stores.close()


def test_a_server_that_may_degrade_says_which_branch_answered(
    run: ServiceSettings, started: Started
) -> None:
    """The setting alone is enough, and the metrics count by branch."""
    with started(run.model_copy(update={"degrade": True})) as client:
        context = client.app.state.context  # type: ignore[attr-defined]
        until = time.monotonic() + 10
        while len(context.degrader._ladder) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        context.admission.inside = 40
        time.sleep(2 * STEP_S)
        answered = client.post("/predict", content=spotted()).json()
        asked = client.post("/predict?model=gym:1", content=spotted()).json()
        context.admission.inside = 0
        metrics = client.get("/metrics").text

    assert answered["model"]["branch"] == "middle"
    assert asked["model"]["branch"] == "large", "who names a model gets it"
    assert 'okdhp_total_seconds_count{branch="middle"' in metrics
    degraded = [
        line
        for line in metrics.splitlines()
        if line.startswith("okdhp_degraded_total") and not line.endswith(" 0.0")
    ]
    assert len(degraded) == 1
    assert 'branch="middle"' in degraded[0]
    assert degraded[0].endswith(" 1.0")
