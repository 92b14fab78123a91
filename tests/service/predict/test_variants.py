"""The bundled student in fp16 and int8, registered by an operator, serves like any other."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from model.data.packing import exact_crops
from model.data.synthetic import draw_people
from model.onnx_file import contents_of
from model.precisions import Fewer
from model.predictor import BUNDLED, Predictor
from model.quantise import quantised
from model.receipt import AgainstFp32, Change, beside, read_receipt, write_receipt
from service.settings import ServiceSettings
from worker.registry import read_card
from worker.stores import Stores, open_stores

pytestmark = pytest.mark.skipif(not BUNDLED.is_file(), reason="no student ships here")

LOST = {"fp16": -0.2, "int8": -1.4}
VERSIONS = {"fp32": 1, "fp16": 2, "int8": 3}


@pytest.fixture(scope="module")
def client(
    settings: ServiceSettings,
    started: Callable[[ServiceSettings], AbstractContextManager[TestClient]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[TestClient]:
    """A server with version 1, which ships, and 2 and 3 in fewer bits."""
    folder = tmp_path_factory.mktemp("variants")
    stores = open_stores(settings)
    stores.registry.ensure_bundled()
    for precision in ("fp16", "int8"):
        register(stores, precision, folder / f"{precision}.onnx")
    stores.close()
    with started(settings) as client:
        yield client


def register(stores: Stores, precision: Fewer, file: Path) -> None:
    card = Predictor(BUNDLED).card
    crops, _ = exact_crops(draw_people(16, seed=1, size_px=160), card.size, card.padding)
    quantised(BUNDLED, precision, crops, file)
    original = read_receipt(beside(BUNDLED))
    change = Change(
        data="gym:valid",
        people=9,
        fingerprint="f",
        metric="pck@0.2",
        points=LOST[precision],
        interval_95=(-2, 1),
    )
    against = AgainstFp32(
        precision=precision, sha256=original.file.sha256, ranges=None, changes=(change,), speed=()
    )
    update = {"file": contents_of(file).facts(), "against_fp32": against, "parity": "not measured"}
    write_receipt(beside(file), original.model_copy(update=update))
    card_json = read_card(file)
    stores.registry.add_version("okdhp", file, card_json, card_json["metrics"])


@pytest.fixture(scope="module")
def photograph() -> bytes:
    person = draw_people(1, seed=5, size_px=200)[0]
    assert person.pixels is not None
    buffer = io.BytesIO()
    Image.fromarray(person.pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("bits", ["fp32", "fp16", "int8"])
def test_each_variant_answers_by_its_name_and_by_its_number(
    client: TestClient, photograph: bytes, bits: str
) -> None:
    """And says which it is; every one about the same."""
    answers = [
        client.post("/predict", params={"model": asked}, content=photograph).json()
        for asked in (f"okdhp@{bits}", f"okdhp:{VERSIONS[bits]}", "okdhp")
    ]
    by_name, by_number, full = answers
    assert by_name["model"]["variant"] == bits
    assert by_name["model"]["version"] == VERSIONS[bits]
    assert by_name["poses"] == by_number["poses"]
    assert full["model"]["variant"] == "fp32"
    points = [[(k["x"], k["y"]) for k in a["poses"][0]["keypoints"]] for a in (by_name, full)]
    assert np.median(np.linalg.norm(np.subtract(*points), axis=1)) < 8


def test_fewer_bits_answer_nobody_who_has_not_asked(client: TestClient, photograph: bytes) -> None:
    """They came later, but the model's name and production stay in float32."""
    answer = client.post("/predict", content=photograph).json()
    assert (answer["model"]["version"], answer["model"]["variant"]) == (1, "fp32")


def test_a_variant_that_is_not_there_is_told(client: TestClient, photograph: bytes) -> None:
    """With those that are."""
    refused = client.post("/predict", params={"model": "okdhp@int4"}, content=photograph)
    assert refused.status_code == 404
    assert "there are: 1, 2 (fp16), 3 (int8)" in refused.json()["detail"]


def test_every_version_tells_its_variant_and_what_it_lost(client: TestClient) -> None:
    """As it was measured; float32 lost nothing."""
    (model,) = client.get("/models").json()["models"]
    shown = {v["variant"]: v["against_fp32"] for v in model["versions"]}
    assert shown["fp32"] is None
    lost = {bits: shown[bits]["changes"][0]["points"] for bits in ("fp16", "int8")}
    assert lost == LOST


def test_the_gate_judges_what_they_lost(client: TestClient) -> None:
    """int8 lost more than a point; fp16 may go into production, and out of it again."""
    refused = client.post("/models/okdhp/versions/3/promote")
    assert refused.status_code == 409
    (fault,) = refused.json()["errors"]
    assert (fault["where"], fault["problem"]) == ("int8.gym:valid.pck@0.2", "-1.400 points")
    assert client.post("/models/okdhp/versions/2/promote").status_code == 200
    assert client.get("/models/okdhp").json()["default_version"] == 2
    assert client.post("/models/okdhp/rollback").status_code == 200


@pytest.mark.parametrize("bits", ["fp16", "int8"])
def test_the_open_inference_protocol_takes_and_gives_what_it_always_does(
    client: TestClient, bits: str
) -> None:
    """uint8 in, float32 out: a client need not know what is computed between."""
    path = f"/v2/models/okdhp/versions/{VERSIONS[bits]}"
    told, full = (client.get(p).json() for p in (path, "/v2/models/okdhp/versions/1"))
    assert (told["inputs"], told["outputs"]) == (full["inputs"], full["outputs"])
    assert told["parameters"]["variant"] == bits
    H, W = told["inputs"][0]["shape"][1:3]
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, H, W, 3]}
    given = {"inputs": [tensor | {"data": [7] * (H * W * 3)}]}
    found, *_ = client.post(f"{path}/infer", json=given).json()["outputs"]
    assert (found["datatype"], found["shape"]) == ("FP32", [1, 16, 3])
