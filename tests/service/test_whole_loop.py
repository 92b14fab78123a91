"""From a posted job to an answer of its student: real Celery, Valkey, SQLite and training."""

import hashlib
import io
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from model.predictor import Predictor
from worker.stores import open_stores

SMALL: dict[str, Any] = {
    "preset": "tiny",
    "data": {
        "crop_px": [32, 32],
        "train": [{"format": "synthetic", "people": 24, "seed": 1}],
        "valid": [{"format": "synthetic", "people": 8, "seed": 2}],
    },
    "network": {"width": 8, "depth": 1},
    "training": {"epochs": 2, "batch_size": 8},
    "export": {"name": "gym"},
}


def follow(url: str, job: dict[str, Any], done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The job once `done`, looked at again and again as a client would."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        job = httpx.get(url + job["url"]).json()
        if done(job):
            return job
        if job["state"] == "failed":
            break
        time.sleep(0.2)
    raise AssertionError(f"{job['state']}: {job['error']} {job['history']}")


def test_a_job_becomes_a_student_that_answers(
    serve: Callable[..., Any], with_student: Any, tmp_path: Path
) -> None:
    """Post, follow, fetch, promote, predict: the reason why the program exists."""
    server = serve(with_student.home)
    url = server.url

    posted = httpx.post(f"{url}/jobs", json={"kind": "distill", "config": SMALL})
    assert posted.status_code == 202
    job = follow(url, posted.json(), lambda job: job["state"] == "succeeded")

    history = job["metrics"]["history"]
    assert [entry["epoch"] for entry in history] == [1, 2]
    assert set(history[0]["loss"]) >= {"total", "label", "ensemble", "distill"}
    assert set(history[0]["branches"]) == {"branch0", "branch1"}
    assert job["metrics"]["best"]["branch"] in history[0]["branches"]
    assert job["progress"]["epoch"] == 2
    states = [step["new"] for step in job["history"]]
    assert states == ["queued", "starting", "running", "evaluating", "succeeded"]

    files = {}
    for entry in job["artifacts"]:
        content = httpx.get(url + entry["url"]).content
        assert len(content) == entry["bytes"]
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        files[entry["name"]] = content
    onnx = next(name for name in files if name.endswith(".onnx"))
    assert {"manifest.json", "metrics.json", "curves.png", "predictions.png"} <= set(files)
    Image.open(io.BytesIO(files["predictions.png"])).load()
    assert str(with_student.home).encode() not in b"".join(files.values())

    promoted = httpx.post(f"{url}/models/gym/versions/1/promote", json={"reason": "our own"})
    assert promoted.status_code == 200

    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 40, 3), np.uint8))
    buffer = io.BytesIO()
    photo.save(buffer, "PNG")
    answer = httpx.post(f"{url}/predict", files={"image": buffer.getvalue()}).json()
    assert (answer["model"]["name"], answer["model"]["version"]) == ("gym", 1)
    # The file that was fetched is the one that answers: same points, without the server.
    (tmp_path / "gym.onnx").write_bytes(files[onnx])
    student = Predictor(tmp_path / "gym.onnx")
    pose = student.predict(photo, [_whole(photo)])[0]
    points = [[joint["x"], joint["y"]] for joint in answer["poses"][0]["keypoints"]]
    np.testing.assert_allclose(points, pose.keypoints_img[:, :2], atol=0.02)
    assert server.end() == 0


def test_a_server_that_stops_in_mid_job_goes_on_with_it_at_the_next_start(
    serve: Callable[..., Any], with_student: Any
) -> None:
    """Somebody reboots the machine: no epoch is lost or shown twice, and no process is left."""
    config = {**SMALL, "training": {"epochs": 3000, "batch_size": 8}}
    server = serve(with_student.home)
    job = httpx.post(f"{server.url}/jobs", json={"kind": "distill", "config": config}).json()
    job = follow(server.url, job, lambda job: len(job["metrics"]["history"]) >= 3)
    family = server.family()
    assert any("worker.child" in command for command in family.values())

    assert server.end() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in family)

    again = serve(with_student.home)
    # The server stored some more epochs before it ended: what the second attempt adds counts.
    job = follow(again.url, job, lambda job: job["attempt"] == 2)
    before = len(job["metrics"]["history"])
    job = follow(again.url, job, lambda job: len(job["metrics"]["history"]) > before + 3)
    epochs = [entry["epoch"] for entry in job["metrics"]["history"]]
    assert epochs == list(range(1, len(epochs) + 1))
    assert job["attempt"] == 2
    assert [step["new"] for step in job["history"]][:5] == [
        "queued",
        "starting",
        "running",
        "queued",
        "starting",
    ]

    httpx.post(f"{again.url}{job['url']}/cancel")
    job = follow(again.url, job, lambda job: job["state"] == "cancelled")
    assert not any("worker.child" in command for command in again.family().values())
    assert again.end() == 0


def test_a_job_whose_processes_are_all_told_to_end_at_once_is_kept(
    serve: Callable[..., Any], with_student: Any
) -> None:
    """systemd and container engines tell everybody; the child stops before its worker asks it."""
    config = {**SMALL, "training": {"epochs": 3000, "batch_size": 8}}
    server = serve(with_student.home)
    job = httpx.post(f"{server.url}/jobs", json={"kind": "distill", "config": config}).json()
    job = follow(server.url, job, lambda job: len(job["metrics"]["history"]) >= 1)
    family = server.family()

    for pid in [*family, server.process.pid]:
        os.kill(pid, signal.SIGTERM)

    assert server.process.wait(30) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in family)
    kept = open_stores(with_student).jobs
    assert kept.get(job["id"]).state == "queued"
    kept.cancel(job["id"])


@pytest.mark.data
def test_a_job_learns_from_registered_photographs(
    serve: Callable[..., Any], with_student: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real people: register LSP, distil on a part of it, evaluate the student on another."""
    photographs = Path(__file__).parents[2].parent / "shared" / "data"
    if not (photographs / "lsp").is_dir():
        pytest.skip("../shared/data is not on this machine")
    monkeypatch.setenv("OKDHP_DATA_DIR", str(photographs))
    server = serve(with_student.home)

    registered = httpx.post(
        f"{server.url}/datasets", json={"name": "lsp", "format": "lsp", "path": "lsp"}, timeout=60
    )
    assert registered.status_code == 201, registered.text
    data = {
        "crop_px": [32, 32],
        "train": [{"dataset": "lsp", "split": "train", "people": 16}],
        "valid": [{"dataset": "lsp", "split": "valid", "people": 8}],
    }
    config = {**SMALL, "data": data, "export": {"name": "lsp-student"}}
    job = httpx.post(f"{server.url}/jobs", json={"kind": "distill", "config": config}).json()
    job = follow(server.url, job, lambda job: job["state"] == "succeeded")
    assert str(photographs) not in str(job)

    config = {"model": "lsp-student", "data": {"dataset": "lsp", "split": "valid", "people": 8}}
    job = httpx.post(f"{server.url}/jobs", json={"kind": "evaluate", "config": config}).json()
    job = follow(server.url, job, lambda job: job["state"] == "succeeded")
    assert job["result"]["people"] == 8
    assert server.end() == 0


def _whole(photo: Image.Image) -> Any:
    from model.geometry import Box

    return Box.whole((photo.height, photo.width))
