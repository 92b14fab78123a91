"""Probes: alive at once, ready only when a model answers on the runtime that was asked for."""

from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import ServiceSettings


def test_ready_names_what_answers(client: TestClient) -> None:
    """An operator sees at once whether the GPU is used."""
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz").json()
    assert ready["status"] == "ready"
    assert ready["model"]["provider"] == "CPUExecutionProvider"


def test_another_provider_than_asked_is_not_ready(with_student: ServiceSettings) -> None:
    """The process lives, but must get no traffic."""
    settings = with_student.model_copy(update={"provider": "cuda", "registry_poll_s": 0.01})
    with TestClient(create_app(settings)) as client:
        for _ in range(200):
            response = client.get("/readyz")
            if "CUDA" in response.text:
                break

        assert client.get("/healthz").status_code == 200
        assert response.status_code == 503
        assert response.json()["type"] == "urn:okdhp:problem:not-ready"
        assert "CUDAExecutionProvider" in response.json()["detail"]
        assert response.headers["retry-after"]
        assert client.post("/predict", content=b"").status_code == 503
