"""/v2 by plain HTTP: the protocol's documents, both ways of tensors, and what is refused."""

import io
import json
import struct
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from service.app import create_app
from service.errors import TensorInvalid
from service.settings import ServiceSettings
from service.v2.tensors import JSON_BYTES, read_infer
from tests.service.telling import UNKNOWN, write_telling
from worker.registry import read_card
from worker.stores import open_stores

H, W, K = 64, 64, 16
LENGTH = "Inference-Header-Content-Length"


def crops(*places: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Black crops with a white pixel each, where the student finds every joint."""
    made = np.zeros((len(places), H, W, 3), np.uint8)
    for crop, (x, y) in zip(made, places, strict=True):
        crop[y, x] = 255
    return made


def tensor(image: np.ndarray[Any, Any], **other: Any) -> dict[str, Any]:
    return {"name": "image", "shape": list(image.shape), "datatype": "UINT8", **other}


def as_json(image: np.ndarray[Any, Any], **other: Any) -> dict[str, Any]:
    return {"inputs": [tensor(image, data=image.ravel().tolist())], **other}


def as_bytes(image: np.ndarray[Any, Any], **other: Any) -> tuple[bytes, dict[str, str]]:
    """A body with the crops behind its JSON, and its headers."""
    told = {"binary_data_size": image.nbytes}
    head = json.dumps({"inputs": [tensor(image, parameters=told)], **other}).encode()
    return head + image.tobytes(), {LENGTH: str(len(head))}


def infer(client: TestClient, body: Any, path: str = "glow", **how: Any) -> httpx.Response:
    kind = "json" if isinstance(body, dict) else "content"
    answer: httpx.Response = client.post(f"/v2/models/{path}/infer", **{kind: body}, **how)
    return answer


def assert_error(answer: httpx.Response, status: int, text: str) -> None:
    """As the protocol says it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert text in answer.json()["error"]


def test_the_server_and_its_health(client: TestClient) -> None:
    """What KServe looks at before it sends anything."""
    server = client.get("/v2").json()

    assert server["name"] == "okdhp"
    assert server["version"]
    assert server["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}


def test_a_server_whose_model_cannot_run_is_not_ready(with_student: ServiceSettings) -> None:
    """A balancer must not send to it; here the GPU that was asked for is not there."""
    settings = with_student.model_copy(update={"provider": "cuda"})
    with TestClient(create_app(settings)) as client:
        assert_error(client.get("/v2/health/ready"), 503, "")
        assert client.get("/v2/health/live").status_code == 200


@pytest.mark.parametrize("path", ["/v2/models/glow", "/v2/models/glow/versions/1"])
def test_a_models_metadata_is_its_files_contract(client: TestClient, path: str) -> None:
    """Clients make their tensors from it."""
    assert client.get(path).json() == {
        "name": "glow",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, H, W, 3]}],
        "outputs": [{"name": "keypoints", "datatype": "FP32", "shape": [-1, K, 3]}],
        "parameters": {
            "skeleton": "mpii16",
            "joints": client.get(path).json()["parameters"]["joints"],
            "variant": "fp32",
        },
    }
    assert client.get(path).json()["parameters"]["joints"][:2] == ["right_ankle", "right_knee"]
    assert client.get(f"{path}/ready").json() == {"name": "glow", "ready": True}


def test_the_repositorys_index(client: TestClient) -> None:
    """Triton's clients list models by it."""
    entries = client.post("/v2/repository/index").json()

    assert {"name": "glow", "version": "1", "state": "READY", "reason": ""} in entries


@pytest.mark.parametrize("path", ["glow", "glow/versions/1"])
def test_json_in_json_out(client: TestClient, path: str) -> None:
    """Anybody with an HTTP client."""
    image = crops((7, 9), (30, 2))

    answer = infer(client, as_json(image, id="mine"), path).json()

    assert {k: answer[k] for k in ("model_name", "model_version", "id")} == {
        "model_name": "glow",
        "model_version": "1",
        "id": "mine",
    }
    (output,) = answer["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("keypoints", "FP32", [2, K, 3])
    found = np.reshape(output["data"], output["shape"])
    np.testing.assert_array_equal(found[:, 0], [[7, 9, 1], [30, 2, 1]])


def test_data_may_be_nested(client: TestClient) -> None:
    """The protocol takes both."""
    image = crops((5, 6))

    answer = infer(client, {"inputs": [tensor(image, data=image.tolist())]}).json()

    assert answer["outputs"][0]["data"][:2] == [5, 6]


@given(st.lists(st.tuples(st.integers(0, W - 1), st.integers(0, H - 1)), min_size=1, max_size=40))
@hypothesis_settings(max_examples=15, deadline=None)
def test_bytes_in_bytes_out(client: TestClient, places: list[tuple[int, int]]) -> None:
    """A crop is 192 kB as bytes and 700 as text. More crops than a batch holds, too."""
    body, headers = as_bytes(crops(*places), parameters={"binary_data_output": True})

    answer = infer(client, body, headers=headers)

    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers[LENGTH])
    (output,) = json.loads(answer.content[:length])["outputs"]
    assert output["shape"] == [len(places), K, 3]
    assert output["parameters"] == {"binary_data_size": len(answer.content) - length}
    assert "data" not in output
    numbers = struct.unpack(f"<{len(places) * K * 3}f", answer.content[length:])
    np.testing.assert_array_equal(np.reshape(numbers, output["shape"])[:, 3, :2], places)


@pytest.mark.parametrize(
    ("of_request", "of_output", "binary"),
    [
        (None, None, False),
        (None, True, True),
        (True, None, True),
        (True, False, False),
        (False, True, True),
    ],
)
def test_an_output_says_how_it_is_sent(
    client: TestClient, of_request: bool | None, of_output: bool | None, binary: bool
) -> None:
    """Its own word goes before the request's."""
    given: dict[str, Any] = {"outputs": [{"name": "keypoints"}]}
    if of_request is not None:
        given["parameters"] = {"binary_data_output": of_request}
    if of_output is not None:
        given["outputs"][0]["parameters"] = {"binary_data": of_output}

    answer = infer(client, as_json(crops((1, 1)), **given))

    assert answer.status_code == 200
    assert (LENGTH in answer.headers) is binary


@pytest.fixture(scope="module")
def seeing(
    client: TestClient,
    with_student: ServiceSettings,
    brightest: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> TestClient:
    """The server also has a model that tells how likely a joint is seen."""
    file = write_telling(brightest, tmp_path_factory.mktemp("telling") / "telling.onnx")
    stores = open_stores(with_student)
    stores.registry.add_version("seeing", file, read_card(file), {})
    stores.close()
    return client


def test_a_model_that_tells_who_is_seen_has_a_second_output(seeing: TestClient) -> None:
    """Listed in its metadata, and given to whoever does not choose; a client of before, who knows
    one output, finds that first."""
    listed = seeing.get("/v2/models/seeing").json()["outputs"]

    answer = infer(seeing, as_json(crops((7, 9), (30, 2))), "seeing")

    names = [(o["name"], o["datatype"], o["shape"]) for o in answer.json()["outputs"]]
    assert names == [("keypoints", "FP32", [2, K, 3]), ("visible", "FP32", [2, K])]
    assert [(o["name"], o["datatype"], o["shape"][1:]) for o in listed] == [
        (name, kind, shape[1:]) for name, kind, shape in names
    ]
    keypoints, visible = (output["data"] for output in answer.json()["outputs"])
    assert keypoints[:2] == [7, 9]
    assert len(keypoints) == 2 * K * 3
    assert visible[:3] == pytest.approx([0.8808] * 3, abs=1e-3)
    assert [i for i, chance in enumerate(visible) if chance is None] == [UNKNOWN, K + UNKNOWN]


def test_each_output_may_be_asked_for_in_its_own_form(seeing: TestClient) -> None:
    """In the order asked for; bytes follow the JSON in that order too."""
    wanted = [
        {"name": "visible", "parameters": {"binary_data": True}},
        {"name": "keypoints", "parameters": {"binary_data": True}},
    ]

    both = infer(seeing, as_json(crops((7, 9)), outputs=wanted), "seeing")
    mixed = infer(
        seeing, as_json(crops((7, 9)), outputs=[wanted[0], {"name": "keypoints"}]), "seeing"
    )
    alone = infer(seeing, as_json(crops((7, 9)), outputs=[{"name": "visible"}]), "seeing")

    data = both.content[int(both.headers[LENGTH]) :]
    visible = np.frombuffer(data[: 4 * K], "<f4")
    assert visible[0] == pytest.approx(0.8808, abs=1e-3)
    assert np.isnan(visible[UNKNOWN])
    assert np.frombuffer(data[4 * K :], "<f4").reshape(K, 3)[0, :2].tolist() == [7, 9]
    length = int(mixed.headers[LENGTH])
    assert len(mixed.content) - length == 4 * K
    assert json.loads(mixed.content[:length])["outputs"][1]["data"][:2] == [7, 9]
    assert [output["name"] for output in alone.json()["outputs"]] == ["visible"]


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ([{"name": "heatmaps"}], "outputs must be some of the tensors `keypoints`, `visible`"),
        ([{"name": "visible"}] * 2, "outputs must be some of the tensors"),
        (
            [{"name": "keypoints"}, {"name": "visible", "parameters": {"binary_data": 1}}],
            "outputs.1.parameters.binary_data is neither",
        ),
    ],
)
def test_outputs_that_are_not_there_are_refused(
    seeing: TestClient, outputs: list[Any], said: str
) -> None:
    """As those of any other model; `visible` too, of one that does not tell it."""
    assert_error(infer(seeing, as_json(BLACK, outputs=outputs), "seeing"), 400, said)
    asked = as_json(BLACK, outputs=[{"name": "visible"}])
    assert_error(infer(seeing, asked, "glow"), 400, "the one tensor `keypoints`")


def test_it_is_the_answer_of_predict(client: TestClient) -> None:
    """The same student by both ways: a crop that is the whole image is not changed on the way."""
    pixels = np.zeros((H, W, 3), np.uint8)
    pixels[20, 40] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")

    ours = client.post("/predict", content=buffer.getvalue()).json()["poses"][0]["keypoints"][0]
    theirs = infer(client, as_json(pixels[None])).json()["outputs"][0]["data"]

    assert [ours["x"], ours["y"]] == theirs[:2] == [40, 20]


def test_flip_test_may_be_asked_for(client: TestClient) -> None:
    """As a parameter of the request; whatever else a client may set is none of ours."""
    asked = {"flip_test": True, "priority": 3, "sequence_id": 7}

    assert infer(client, as_json(crops((1, 2)), parameters=asked)).status_code == 200


BLACK = crops((0, 0))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"[" * 100_000, "recursion"),
        ({}, "inputs"),
        ({"inputs": []}, "the one tensor `image`"),
        ({"inputs": [tensor(BLACK), tensor(BLACK)]}, "the one tensor `image`"),
        ({"inputs": [{**tensor(BLACK), "name": "pixels"}]}, "the one tensor `image`"),
        ({"inputs": [{**tensor(BLACK), "datatype": "FP32"}]}, "accepted: UINT8"),
        ({"inputs": [{**tensor(BLACK), "shape": []}]}, "[n, 64, 64, 3]"),
        ({"inputs": [{**tensor(BLACK), "shape": [0, H, W, 3]}]}, "n from 1 to 64"),
        ({"inputs": [{**tensor(BLACK), "shape": [-1, H, W, 3]}]}, "n from 1 to 64"),
        ({"inputs": [{**tensor(BLACK), "shape": [65, H, W, 3]}]}, "n from 1 to 64"),
        ({"inputs": [{**tensor(BLACK), "shape": [1, W + 1, H, 3]}]}, "[n, 64, 64, 3]"),
        ({"inputs": [{**tensor(BLACK), "shape": [2**62, 2**62, 4]}]}, "[n, 64, 64, 3]"),
        ({"inputs": [{**tensor(BLACK), "shape": [1] * 5000}]}, "5000 dimensions"),
        ({"inputs": [{**tensor(BLACK), "shape": ["1", H, W, 3]}]}, "shape.0"),
        ({"inputs": [tensor(BLACK)]}, "neither data nor bytes"),
        ({"inputs": [tensor(BLACK, data=[0] * 5)]}, "12,288 integers"),
        ({"inputs": [tensor(BLACK, data=[[0], [0, 1]])]}, "ragged"),
        ({"inputs": [tensor(BLACK, data=[0.5] * BLACK.size)]}, "integers"),
        ({"inputs": [tensor(BLACK, data=[True] * BLACK.size)]}, "integers"),
        ({"inputs": [tensor(BLACK, data=["0"] * BLACK.size)]}, "integers"),
        ({"inputs": [tensor(BLACK, data=[256] * BLACK.size)]}, "beyond a byte"),
        ({"inputs": [tensor(BLACK, data=[-1] * BLACK.size)]}, "beyond a byte"),
        ({"inputs": [tensor(BLACK, data=[10**30] * BLACK.size)]}, "integers"),
        ({"inputs": [tensor(BLACK, data="zeros")]}, "data"),
        (as_json(BLACK, parameters={"flip_test": "yes"}), "neither true nor false"),
        (as_json(BLACK, parameters={"binary_data_output": 1}), "neither true nor false"),
        (as_json(BLACK, outputs=[{"name": "heatmaps"}]), "the one tensor `keypoints`"),
        (as_json(BLACK, outputs=[{"name": "keypoints"}] * 2), "the one tensor `keypoints`"),
        (
            as_json(BLACK, outputs=[{"name": "keypoints", "parameters": {"classification": 2}}]),
            "'classification'; accepted: binary_data",
        ),
        (b'{"id": "\\ud800", "inputs": []}', "id"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(client: TestClient, body: Any, said: str) -> None:
    """As 400 in the protocol's own shape; hostile ones as well."""
    assert_error(infer(client, body), 400, said)


def test_long_json_is_not_parsed() -> None:
    """It would keep the event loop from its turn: what is so large comes as bytes."""
    with pytest.raises(TensorInvalid, match="at most 4,194,304; larger tensors come as bytes"):
        read_infer(b"[" + b" " * JSON_BYTES, None, (H, W), most=64)


@pytest.mark.parametrize(
    ("length", "told", "sent", "said"),
    [
        ("", BLACK.nbytes, BLACK.nbytes, "accepted: the JSON's length"),
        ("-1", BLACK.nbytes, BLACK.nbytes, "accepted: the JSON's length"),
        ("²", BLACK.nbytes, BLACK.nbytes, "accepted: the JSON's length"),
        ("999999999", BLACK.nbytes, BLACK.nbytes, "accepted: the JSON's length"),
        ("9" * 5000, BLACK.nbytes, BLACK.nbytes, "accepted: the JSON's length"),
        ("3", BLACK.nbytes, BLACK.nbytes, "JSON"),
        (None, BLACK.nbytes - 1, BLACK.nbytes, "binary_data_size"),
        (None, True, BLACK.nbytes, "binary_data_size"),
        (None, BLACK.nbytes, BLACK.nbytes - 1, "12,287 bytes follow"),
        (None, BLACK.nbytes, BLACK.nbytes + 1, "12,289 bytes follow"),
        (None, BLACK.nbytes, 0, "neither data nor bytes"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(
    client: TestClient, length: str | None, told: Any, sent: int, said: str
) -> None:
    """A length that is wrong by one would shift every pixel."""
    head = json.dumps({"inputs": [tensor(BLACK, parameters={"binary_data_size": told})]}).encode()
    text = str(len(head)) if length is None else length

    answer = infer(client, head + bytes(sent), headers={LENGTH: text.encode("latin-1")})

    assert_error(answer, 400, said)


def test_other_errors_have_the_protocols_shape_too(
    client: TestClient, settings: ServiceSettings
) -> None:
    """Whoever finds them: routes, limits, or the framework."""
    image = as_json(BLACK)

    assert_error(infer(client, image, "unknown"), 404, "no model 'unknown'")
    assert_error(infer(client, image, "glow/versions/9"), 404, "no version '9'; there are: 1")
    assert_error(client.get("/v2/models/unknown"), 404, "no model")
    assert_error(client.get("/v2/models/glow/versions/x/ready"), 404, "no version")
    assert_error(client.get("/v2/nowhere"), 404, "nothing is at")
    assert_error(client.get("/v2/models/glow/infer"), 405, "does not take GET")
    assert_error(infer(client, bytes(settings.max_image_bytes + 1)), 413, "may have")
    coded = {"Content-Encoding": "gzip"}
    assert_error(infer(client, b"x", headers=coded), 415, "'gzip'")


def test_a_full_server_says_429(client: TestClient) -> None:
    """The same door as for photographs."""
    parts = client.app.state.context  # type: ignore[attr-defined]
    parts.admission.inside += parts.settings.max_in_flight
    try:
        answer = infer(client, as_json(BLACK))
    finally:
        parts.admission.inside -= parts.settings.max_in_flight

    assert_error(answer, 429, "requests are in work")
    assert answer.headers["retry-after"] == "1"


def test_the_description_has_the_protocols_errors(client: TestClient) -> None:
    """Client libraries are made from it."""
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v2/models/{model}/infer"]["post"]

    error = operation["responses"]["400"]["content"]["application/json"]["schema"]
    assert error == {"$ref": "#/components/schemas/ErrorDocument"}
    assert document["components"]["schemas"]["InferRequest"]["properties"].keys() == {
        "id",
        "parameters",
        "inputs",
        "outputs",
    }
    assert [p["name"] for p in operation["parameters"]] == ["model", LENGTH, "X-Timeout-Ms"]
