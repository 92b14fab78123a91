"""/models: what there is, who promoted it, and refusals that change nothing."""

from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient

from model.appraisal import appraise
from model.receipt import Receipt, beside, read_receipt, write_receipt
from service.settings import ServiceSettings
from worker.registry import read_card
from worker.stores import open_stores


def test_the_list_names_production_and_every_version(
    client: TestClient, add_student: Callable[[str, float], int]
) -> None:
    """What a person chooses from."""
    version = add_student("branch1", 1.0)

    body = client.get("/models").json()

    assert body["production"] == {"model": "glow", "version": 1}
    glow = next(model for model in body["models"] if model["name"] == "glow")
    assert [v["version"] for v in glow["versions"]] == list(range(version, 0, -1))
    first = glow["versions"][-1]
    assert first["in_production"]
    assert first["branch"] == "branch0"
    assert first["skeleton"] == "mpii16"
    assert first["input_px"] == [64, 64]
    assert first["metrics"] == {"pck@0.2": 12.5}
    assert len(first["sha256"]) == 64


def test_a_promotion_is_noted_with_who_and_why(client: TestClient) -> None:
    """Somebody will ask."""
    answer = client.post("/models/glow/versions/1/promote", json={"reason": "steadier wrists"})

    assert answer.status_code == 200
    log = client.get("/models/glow").json()["promotions"]
    assert log[0] == answer.json()
    assert log[0]["why"] == "steadier wrists"
    assert log[0]["who"] == "testclient"


def test_a_promotion_needs_no_body(client: TestClient) -> None:
    """`curl -X POST` is enough."""
    assert client.post("/models/glow/versions/1/promote").status_code == 200


def test_what_does_not_exist_cannot_be_promoted(client: TestClient) -> None:
    """Nor looked at."""
    slugs = {
        ("POST", "/models/nobody/versions/1/promote"): "model-unknown",
        ("POST", "/models/glow/versions/99/promote"): "version-unknown",
        ("POST", "/models/glow/versions/-1/promote"): "version-unknown",
        ("POST", "/models/glow/versions/99999999999999999999/promote"): "version-unknown",
        ("GET", "/models/nobody"): "model-unknown",
        ("GET", "/models/nobody/versions/1/receipt"): "model-unknown",
        ("GET", "/models/glow/versions/99/receipt"): "version-unknown",
        ("GET", "/models/glow/versions/1/receipt"): "receipt-unknown",
        ("GET", "/models/a:b"): "model-unknown",
    }

    for (method, path), slug in slugs.items():
        response = client.request(method, path)
        assert (response.status_code, response.json()["type"]) == (404, f"urn:okdhp:problem:{slug}")
    assert client.post("/models/glow/versions/one/promote").status_code == 422


def test_a_wrong_body_is_refused_with_the_right_key(client: TestClient) -> None:
    """`why` is what the log calls it, but not what is posted."""
    response = client.post("/models/glow/versions/1/promote", json={"raison": "x"})

    assert response.status_code == 422
    assert response.json()["errors"][0]["nearest"] == "reason"


def test_a_version_that_cannot_run_is_refused_and_nothing_changes(
    client: TestClient,
    with_student: ServiceSettings,
    add_student: Callable[[str, float], int],
) -> None:
    """A damaged file in production would take the service down at the next start."""
    version = add_student("branch1", 2.0)
    stores = open_stores(with_student)
    stores.registry.open_local("glow", version).write_bytes(b"damaged")
    before = client.get("/models/glow").json()["promotions"]

    response = client.post(f"/models/glow/versions/{version}/promote")

    assert response.status_code == 410
    assert str(with_student.home) not in response.text
    assert client.get("/models/glow").json()["promotions"] == before
    assert client.get("/readyz").json()["model"]["version"] == 1


def test_a_version_s_receipt_is_served_as_it_was_written(
    client: TestClient, with_student: ServiceSettings, brightest: Path, tmp_path: Path
) -> None:
    """Evidence for whoever thinks of promoting it."""
    file = tmp_path / "seen.onnx"
    file.write_bytes(brightest.read_bytes())
    write_receipt(beside(file), appraise(file, []))
    stores = open_stores(with_student)
    version = stores.registry.add_version("seen", file, read_card(file), {}).version
    stores.close()

    served = client.get(f"/models/seen/versions/{version}/receipt")

    assert served.status_code == 200
    assert Receipt.model_validate(served.json()) == read_receipt(beside(file))
    assert client.get("/models/seen").json()["versions"][0]["has_receipt"]
    assert not client.get("/models/glow").json()["versions"][-1]["has_receipt"]
