"""/datasets: a set is read and checked when it is registered, and named by jobs from then on."""

from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from scipy.io import savemat

from model.data.archive import Recipe, write_pack
from model.data.readers import read_lsp
from service.settings import ServiceSettings


@pytest.fixture
def small_lsp(settings: ServiceSettings) -> Path:
    """Three people in LSP's layout, one of them for validation."""
    folder = settings.data_dir / "small"
    (folder / "images").mkdir(parents=True, exist_ok=True)
    joints = np.zeros((3, 14, 3))
    joints[0] = np.linspace(20, 40, 14)[:, None]
    joints[1] = np.linspace(10, 60, 14)[:, None]
    savemat(folder / "joints.mat", {"joints": joints})
    for i in (1, 2, 3):
        Image.new("RGB", (64, 80)).save(folder / "images" / f"im{i:04d}.jpg")
    (folder / "train.txt").write_text("im0001.jpg\nim0002.jpg\n")
    (folder / "valid.txt").write_text("im0003.jpg\n")
    return folder


def test_a_set_is_registered_with_its_counts(client: TestClient, small_lsp: Path) -> None:
    """What a person wants to see before training on it for hours."""
    response = client.post("/datasets", json={"name": "small", "format": "lsp", "path": "small"})

    body = response.json()
    assert response.status_code == 201
    assert {split: counts["people"] for split, counts in body["splits"].items()} == {
        "train": 2,
        "valid": 1,
    }
    assert len(body["fingerprint"]) == 64
    assert client.get("/datasets").json()["datasets"] == [body]
    assert client.get("/datasets/small").json() == body


def test_a_pack_is_registered_like_any_set(client: TestClient, small_lsp: Path) -> None:
    """It is how photographs travel to where the workers are."""
    recipe = Recipe((32, 32), padding=0.2, quality=50, terms="")
    write_pack(read_lsp(small_lsp, "train"), small_lsp.parent / "packs", recipe)

    response = client.post(
        "/datasets", json={"name": "packed", "format": "pack", "path": "packs/lsp"}
    )

    assert response.status_code == 201
    assert response.json()["splits"]["train"]["people"] == 2


def test_a_registered_set_can_be_named_by_a_job(client: TestClient, small_lsp: Path) -> None:
    """And a split that it lacks is told."""
    client.post("/datasets", json={"name": "small", "format": "lsp", "path": "small"})
    good = {"train": [{"dataset": "small", "split": "train"}]}
    bad = {"train": [{"dataset": "small", "split": "test"}]}

    def post(data: object) -> int:
        config = {"preset": "tiny", "data": data}
        return client.post("/jobs", json={"kind": "distill", "config": config}).status_code

    assert post(good) == 202
    assert post(bad) == 422


def test_a_name_means_one_set(client: TestClient, small_lsp: Path) -> None:
    """Jobs of last week name it too."""
    posted = {"name": "small", "format": "lsp", "path": "small"}
    client.post("/datasets", json=posted)

    assert client.post("/datasets", json=posted).status_code == 201
    other = client.post("/datasets", json={**posted, "format": "mpii"})
    assert other.status_code == 409
    assert other.json()["type"] == "urn:okdhp:problem:dataset-exists"


def test_missing_images_refuse_a_set(
    client: TestClient, small_lsp: Path, settings: ServiceSettings
) -> None:
    """A training would find out after an hour."""
    (small_lsp / "images" / "im0002.jpg").unlink()

    response = client.post("/datasets", json={"name": "holes", "format": "lsp", "path": "small"})

    assert response.status_code == 422
    assert response.json()["type"] == "urn:okdhp:problem:dataset-invalid"
    assert "im0002.jpg" in response.json()["detail"]
    assert str(settings.data_dir) not in response.text


@pytest.mark.parametrize(
    ("posted", "words"),
    [
        ({"name": "x", "format": "lsp", "path": "nowhere"}, "does not exist"),
        ({"name": "x", "format": "lsp", "path": "../../etc"}, "relative path"),
        ({"name": "x", "format": "lsp", "path": "/etc"}, "relative path"),
        ({"name": "x", "format": "lsp", "path": "\0"}, ""),
        ({"name": "x", "format": "mpii", "path": "small"}, ""),
        ({"name": "x", "format": "coco", "path": "small"}, ""),
        ({"name": "X y", "format": "lsp", "path": "small"}, "cannot name"),
        ({"name": "x", "format": "pascal", "path": "small"}, "'lsp', 'mpii', 'coco' or 'pack'"),
        ({"name": "x", "format": "lsp"}, "path: is missing"),
        ({"name": "x", "format": "lsp", "path": "small", "fromat": 1}, "did you mean format?"),
    ],
)
def test_what_is_no_set_is_refused(
    client: TestClient,
    small_lsp: Path,
    settings: ServiceSettings,
    posted: dict[str, object],
    words: str,
) -> None:
    """And no answer tells where the server keeps its data."""
    response = client.post("/datasets", json=posted)

    assert response.status_code == 422, response.text
    assert words in response.json()["detail"]
    assert str(settings.data_dir) not in response.text


def test_an_unknown_set_is_404(client: TestClient) -> None:
    """With the known ones."""
    response = client.get("/datasets/nothing")

    assert response.status_code == 404
    assert response.json()["type"] == "urn:okdhp:problem:dataset-unknown"
