"""PUT /datasets/{name}/archive, and the versions that come and go by it."""

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import ServiceSettings
from tests.worker.datasets.zips import (
    coco_files,
    lsp_files,
    mpii_files,
    with_entry,
    write,
    zipped,
)
from worker.datasets import UPLOADS

DISTILL = {"kind": "distill", "config": {"preset": "tiny"}}


@pytest.fixture
def uploads(settings: ServiceSettings) -> Callable[[], set[str]]:
    """The folders that uploads have left."""

    def there() -> set[str]:
        folder = settings.data_dir / UPLOADS
        names = {path.name for path in folder.iterdir()} if folder.exists() else set()
        return names - {".lock"}

    return there


def put(client: TestClient, name: str, body: bytes, **query: str) -> Any:
    return client.put(f"/datasets/{name}/archive", content=body, params=query)


def learning_from(reference: str) -> dict[str, Any]:
    source = {"dataset": reference, "split": "train"}
    return {"kind": "distill", "config": {"preset": "tiny", "data": {"train": [source]}}}


@pytest.mark.parametrize(
    ("files", "format", "below", "people"),
    [
        (lsp_files(), "lsp", "", {"train": 2, "valid": 1}),
        (mpii_files(), "mpii", "mpii/", {"train": 1, "valid": 1}),
        (coco_files(), "coco", "some/where/", {"train": 2}),
    ],
    ids=["lsp", "mpii", "coco"],
)
def test_each_layout_is_known_by_its_files(
    client: TestClient, files: dict[str, bytes], format: str, below: str, people: dict[str, int]
) -> None:
    """Wherever in the archive it lies: people zip a folder, or what is in it."""
    response = put(client, f"layout-{format}", zipped(files, below))

    body = response.json()
    assert response.status_code == 201, response.text
    assert (body["format"], body["version"], body["uploaded"]) == (format, 1, True)
    assert {split: counts["people"] for split, counts in body["splits"].items()} == people
    assert client.get(f"/datasets/layout-{format}").json() == body


def test_the_same_files_are_the_same_version(
    client: TestClient, uploads: Callable[[], set[str]]
) -> None:
    """Who tries again after a broken connection does no harm."""
    first = put(client, "same", zipped(lsp_files()))
    before = uploads()

    again = put(client, "same", zipped(dict(reversed(lsp_files().items()))))

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert uploads() == before


def test_other_files_are_the_next_version_and_the_name_means_the_newest(
    client: TestClient,
) -> None:
    """A job keeps the version that it was posted with."""
    put(client, "grows", zipped(lsp_files()))
    early = client.post("/jobs", json=learning_from("grows")).json()
    second = put(client, "grows", zipped({**lsp_files(), "valid.txt": b"im0001.jpg\n"}))
    late, old = (
        client.post("/jobs", json=learning_from(name)).json() for name in ("grows", "grows:1")
    )

    assert second.json()["reference"] == "grows:2"
    assert [one["version"] for one in second.json()["versions"]] == [2, 1]
    assert client.get("/datasets/grows/versions/1").json()["version"] == 1
    means = [job["resolved"]["data"]["train"][0]["dataset"] for job in (early, late, old)]
    assert means == ["grows:1", "grows:2", "grows:1"]
    listed = client.get("/datasets").json()["datasets"]
    assert [one["reference"] for one in listed if one["name"] == "grows"] == ["grows:2"]


def test_an_upload_is_a_version_beside_a_registered_path(
    client: TestClient, settings: ServiceSettings
) -> None:
    """And a path within the uploads is nobody's to register."""
    write(settings.data_dir / "mixed", lsp_files())
    posted = {"name": "mixed", "format": "lsp", "path": "mixed"}
    client.post("/datasets", json=posted)

    uploaded = put(client, "mixed", zipped(lsp_files())).json()
    again = client.post("/datasets", json=posted).json()
    stolen = client.post("/datasets", json={**posted, "name": "x", "path": uploaded["path"]})

    assert (uploaded["version"], again["version"], again["uploaded"]) == (2, 1, False)
    assert stolen.status_code == 422
    assert "belongs to an upload" in stolen.json()["detail"]


@pytest.mark.parametrize(
    ("body", "query", "problem", "words"),
    [
        (with_entry("../evil"), {}, "archive-refused", "leads out of the archive"),
        (zipped(lsp_files())[:-100], {}, "archive-refused", "damaged or cut short"),
        (b"", {}, "archive-refused", "no ZIP"),
        (zipped({"readme.md": b"x"}), {}, "dataset-invalid", "holds no data set; accepted:"),
        (
            zipped({**lsp_files(), **coco_files()}),
            {},
            "dataset-invalid",
            "holds 2 data sets, one is accepted: coco in the top folder, lsp in",
        ),
        (zipped(lsp_files()), {"format": "mpii"}, "dataset-invalid", "no data set of the format"),
        (zipped(lsp_files()), {"format": "pack"}, "request-invalid", "'lsp', 'mpii' or 'coco'"),
        (
            zipped({k: v for k, v in lsp_files().items() if "images" not in k}),
            {},
            "dataset-invalid",
            "refused, train: 2 images are missing: im0001.jpg, im0002.jpg",
        ),
        (
            zipped({**coco_files(), "annotations/person_keypoints_train.json": b"[" * 10_000}),
            {},
            "dataset-invalid",
            "refused/annotations/person_keypoints_train.json: is not valid JSON",
        ),
    ],
    ids=range(9),
)
def test_what_is_refused_leaves_nothing(
    client: TestClient,
    settings: ServiceSettings,
    uploads: Callable[[], set[str]],
    body: bytes,
    query: dict[str, str],
    problem: str,
    words: str,
) -> None:
    """No folder, no name, and no path of the server in the answer."""
    before = uploads()

    response = put(client, "refused", body, **query)

    assert response.status_code == 422, response.text
    assert response.json()["type"] == f"urn:okdhp:problem:{problem}"
    assert words in response.json()["detail"]
    assert str(settings.data_dir) not in response.text
    assert ".part" not in response.text
    assert uploads() == before
    assert client.get("/datasets/refused").status_code == 404


def test_images_that_are_missing_or_broken_are_noted(client: TestClient) -> None:
    """Who sent gigabytes learns of all faults at once; the validation names each."""
    files = {k: v for k, v in lsp_files().items() if "im0002" not in k}

    response = put(client, "holes", zipped({**files, "images/im0003.jpg": b"no picture"}))
    other = put(client, "other-holes", zipped(files)).json()

    assert response.status_code == 422  # nobody is to be seen in its split `valid`
    assert "valid: 1 images cannot be read: im0003.jpg" in response.json()["detail"]
    assert other["problems"][0] == "train: 1 images are missing: im0002.jpg"
    assert other["validation"] is not None


def test_a_format_chooses_among_two_sets(client: TestClient) -> None:
    """Some publish their labels in two forms."""
    response = put(client, "both", zipped({**lsp_files(), **coco_files()}), format="coco")

    assert response.json()["format"] == "coco"


def test_what_declares_itself_another_thing_is_refused(client: TestClient) -> None:
    """With what to do instead."""
    response = client.put("/datasets/form/archive", files={"file": b"x"})

    assert response.status_code == 415
    assert "with curl: -T form.zip" in response.json()["detail"]
    assert client.put("/datasets/A%20b/archive", content=b"").status_code == 422


def test_a_set_goes_with_its_files_unless_a_job_needs_it(
    client: TestClient, uploads: Callable[[], set[str]]
) -> None:
    """Its number is not given again: what a job of last week learnt from is that or gone."""
    put(client, "goes", zipped(lsp_files()))
    before = uploads()
    job = client.post("/jobs", json=learning_from("goes")).json()
    for_good = end_all_but(client, job["id"])

    refused = client.delete("/datasets/goes/versions/1")
    assert for_good and refused.status_code == 409
    assert refused.json()["type"] == "urn:okdhp:problem:dataset-in-use"
    assert f"{job['id']} (queued)" in refused.json()["detail"]

    client.post(f"/jobs/{job['id']}/cancel")
    assert client.delete("/datasets/goes/versions/1").status_code == 204
    assert len(before - uploads()) == 1
    assert client.get("/datasets/goes").status_code == 404
    gone = client.post("/jobs", json=learning_from("goes:1"))
    assert "data set 'goes:1' was deleted" in gone.json()["detail"]
    assert client.delete("/datasets/goes").status_code == 404
    assert put(client, "goes", zipped(lsp_files())).json()["version"] == 2


def end_all_but(client: TestClient, job_id: str) -> bool:
    """Cancels the other jobs that wait, as those that validate."""
    waiting = client.get("/jobs", params={"state": "queued", "limit": 200}).json()["jobs"]
    for job in waiting:
        if job["id"] != job_id:
            client.post(f"/jobs/{job['id']}/cancel")
    return True


def test_files_of_a_registered_path_stay(client: TestClient, settings: ServiceSettings) -> None:
    """They are the operator's."""
    write(settings.data_dir / "kept", lsp_files())
    client.post("/datasets", json={"name": "kept", "format": "lsp", "path": "kept"})

    assert client.delete("/datasets/kept").status_code == 204

    assert (settings.data_dir / "kept/joints.mat").exists()
    assert client.get("/datasets/kept").status_code == 404


def test_a_disk_that_would_be_too_full_takes_nothing(
    started: Callable[[ServiceSettings], AbstractContextManager[TestClient]],
    with_student: ServiceSettings,
    tmp_path: Path,
) -> None:
    """What was left by a killed server makes room at the next start."""
    data_dir = tmp_path / "data"
    write(data_dir / UPLOADS / "0123.part", {"archive.zip": b"x"})
    write(data_dir / UPLOADS / "4567", {"gym/joints.mat": b"x"})
    full = with_student.model_copy(
        update={
            "data_dir": data_dir,
            "upload": with_student.upload.model_copy(update={"free_bytes": 1 << 60}),
        }
    )

    with started(full) as client:
        response = put(client, "full", zipped(lsp_files()))

    assert response.status_code == 503
    assert response.json()["type"] == "urn:okdhp:problem:disk-full"
    assert {path.name for path in (data_dir / UPLOADS).iterdir()} == {".lock", "4567"}


@pytest.fixture(scope="module")
def address(with_student: ServiceSettings) -> Iterator[tuple[str, int]]:
    """A real server that takes 300 kB: what matters happens on the socket."""
    upload = with_student.upload.model_copy(update={"max_bytes": 300_000})
    settings = with_student.model_copy(update={"upload": upload, "body_timeout_s": 1.0})
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join()


def eventually(true: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not true() and time.monotonic() < until:
        time.sleep(0.02)
    return true()


HEAD = "PUT /datasets/broken/archive HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"


def test_an_upload_that_breaks_off_leaves_nothing(
    url: str, uploads: Callable[[], set[str]]
) -> None:
    """As when a laptop is closed."""
    before = uploads()
    server = httpx.URL(url)

    with socket.create_connection((server.host, server.port or 0), timeout=10) as connection:
        connection.sendall(HEAD.format(200_000).encode() + b"x" * 100_000)
        assert eventually(lambda: len(uploads() - before) == 1)

    assert eventually(lambda: uploads() == before)


def test_an_upload_that_comes_no_further_or_is_too_large_leaves_nothing(
    address: tuple[str, int], uploads: Callable[[], set[str]]
) -> None:
    """Whoever sends it waits for an answer."""
    before = uploads()

    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(HEAD.format(200_000).encode() + b"x" * 100_000)
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")
    with contextlib.suppress(ConnectionResetError), socket.create_connection(address) as connection:
        connection.sendall(HEAD.format(900_000).encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")

    assert eventually(lambda: uploads() == before)


def test_an_upload_of_unknown_length_is_streamed(address: tuple[str, int]) -> None:
    """As `curl -T -` and programs send it."""
    data = io.BytesIO(zipped(lsp_files()))
    url = f"http://{address[0]}:{address[1]}/datasets/streamed/archive"

    response = httpx.put(url, content=iter(lambda: data.read(1_000), b""))

    assert response.status_code == 201, response.text
    assert response.json()["splits"]["train"]["people"] == 2
