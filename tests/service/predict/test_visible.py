"""How likely a joint is seen, in every answer of a student that tells it."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from model.errors import ModelUnusable
from model.geometry import Box
from model.predictor import Predictor
from service.settings import ServiceSettings
from tests.service.telling import UNKNOWN, promise, write_telling
from worker.registry import read_card
from worker.stores import open_stores

K = 16
SEEN = 0.8808  # sigmoid(2)
LESS = 0.7311  # sigmoid(1)


@pytest.fixture(scope="module")
def telling(brightest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_telling(brightest, tmp_path_factory.mktemp("telling") / "telling.onnx")


@pytest.fixture(scope="module")
def client(
    settings: ServiceSettings,
    brightest: Path,
    telling: Path,
    started: Callable[[ServiceSettings], AbstractContextManager[TestClient]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[TestClient]:
    """Two branches of a run that tell it as `gym`, in production; and `mixed`, where one does not.

    Of `gym` the second says that less is seen.
    """
    less = write_telling(brightest, tmp_path_factory.mktemp("less") / "less.onnx", offset=1.0)
    stores = open_stores(settings)
    for name, files in (("gym", (telling, less)), ("mixed", (telling, brightest))):
        job, _ = stores.jobs.add("distill", {}, {})
        for branch, file in zip("ab", files, strict=True):
            card = read_card(file) | {"branch": branch}
            stores.registry.add_version(name, file, card, {}, job_id=job.id)
    stores.registry.promote("gym", 1, who="test")
    stores.close()
    with started(settings) as client:
        yield client


def spotted() -> bytes:
    image = Image.new("RGB", (64, 64))
    image.putpixel((30, 20), (255, 255, 255))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def joints(client: TestClient, query: str = "") -> list[dict[str, Any]]:
    answer = client.post(f"/predict{query}", content=spotted())
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["poses"][0]["keypoints"]
    return found


def test_it_stands_beside_the_score(client: TestClient) -> None:
    """Null for a joint of which nothing is known; the place is what it would be without."""
    found = joints(client)

    assert [joint["visible"] for joint in found] == [
        None if k == UNKNOWN else SEEN for k in range(K)
    ]
    assert (found[0]["x"], found[0]["y"]) == (30, 20)
    assert found[0]["score"] == pytest.approx(1, abs=1e-3)


def test_of_an_ensemble_it_is_the_mean(client: TestClient) -> None:
    """Null where one of the branches does not tell it: half an answer would be another number."""
    both, mixed = joints(client, "?ensemble=true"), joints(client, "?ensemble=true&model=mixed:1")

    assert both[0]["visible"] == pytest.approx((SEEN + LESS) / 2, abs=1e-3)
    assert both[UNKNOWN]["visible"] is None
    assert {joint["y"] for joint in both} == {20}, "places are weighted by the score alone"
    assert {joint["visible"] for joint in mixed} == {None}
    assert (mixed[0]["x"], mixed[0]["y"]) == (both[0]["x"], both[0]["y"]) == (30, 20)


def test_cocos_results_stay_as_they_are(client: TestClient) -> None:
    """Their third number is the score."""
    (person,) = client.post("/predict?format=coco", content=spotted()).json()

    assert len(person["keypoints"]) == 3 * K
    assert person["keypoints"][2] == pytest.approx(1, abs=1e-3)


def test_a_pose_has_it(telling: Path, brightest: Path) -> None:
    """For whoever uses the predictor without a server."""
    image = Image.open(io.BytesIO(spotted()))
    told, silent = Predictor(telling), Predictor(brightest)

    (pose,) = told.predict(image, [Box.whole((64, 64))])
    (other,) = silent.predict(image, [Box.whole((64, 64))])

    assert pose.keypoints_img.shape == (K, 3)
    assert pose.score == pytest.approx(1, abs=1e-3)
    assert pose.visible is not None
    assert pose.visible[0] == pytest.approx(SEEN, abs=1e-3)
    assert np.isnan(pose.visible[UNKNOWN])
    assert other.visible is None


def test_a_card_that_promises_it_of_a_file_without_is_refused(
    brightest: Path, tmp_path: Path
) -> None:
    """Every request would fail instead."""
    model = onnx.load(brightest)
    promise(model)
    path = tmp_path / "boastful.onnx"
    onnx.save(model, path)

    with pytest.raises(ModelUnusable, match=r"boastful\.onnx does not compute what its card says"):
        Predictor(path)
