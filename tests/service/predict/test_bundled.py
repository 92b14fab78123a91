"""The student that ships answers from the first start, on a home that did not exist."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from model.data.synthetic import draw_people
from model.files import sha256_of
from model.predictor import BUNDLED
from service.settings import ServiceSettings

pytestmark = pytest.mark.skipif(not BUNDLED.is_file(), reason="no student is bundled")


def test_a_fresh_home_answers_at_once(
    tmp_path: Path, started: Callable[[ServiceSettings], AbstractContextManager[TestClient]]
) -> None:
    """Nobody should have to train before the first pose."""
    person = draw_people(1, seed=3)[0]
    assert person.pixels is not None
    photo = Image.fromarray(person.pixels)
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG")
    settings = ServiceSettings(
        home=tmp_path / "home", broker_url=f"redis+socket://{tmp_path}/nobody.sock"
    )

    with started(settings) as client:
        body = client.post("/predict", files={"image": buffer.getvalue()}).json()
        drawn = client.post("/predict?format=image", content=buffer.getvalue())

    assert body["model"]["name"] == "okdhp"
    assert body["model"]["skeleton"] == "mpii16"
    assert len(body["poses"][0]["keypoints"]) == 16
    assert all(0 <= joint["score"] <= 1 for joint in body["poses"][0]["keypoints"])
    assert Image.open(io.BytesIO(drawn.content)).size == photo.size


def test_it_ships_with_its_receipt(
    tmp_path: Path, started: Callable[[ServiceSettings], AbstractContextManager[TestClient]]
) -> None:
    """Of this very file; what was never measured is not claimed."""
    settings = ServiceSettings(
        home=tmp_path / "home", broker_url=f"redis+socket://{tmp_path}/nobody.sock"
    )

    with started(settings) as client:
        served = client.get("/models/okdhp/versions/1/receipt").json()

    assert served["file"]["sha256"] == sha256_of(BUNDLED)
    assert (served["gain"], served["parity"]) == ("not measured", "not measured")
    assert {of["data"] for of in served["accuracy"]} == {"lsp:valid", "mpii:valid", "lspet:valid"}
