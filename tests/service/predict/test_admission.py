"""Who comes when all is full is told so at once, and what nobody waits for is not done."""

import asyncio
import contextlib
import io
import threading
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from model.predictor import Predictor
from service.app import create_app
from service.errors import DeadlinePassed, QueueFull
from service.predict.admission import Admission
from service.settings import ServiceSettings


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (80, 60), "white").save(buffer, "PNG")
    return buffer.getvalue()


class Gate:
    """Holds every inference back until it is opened, and counts their crops."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.reached = threading.Event()
        self.crops = 0

    def hold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        infer = Predictor.infer

        def held(
            predictor: Predictor, crops: NDArray[np.uint8], **options: object
        ) -> NDArray[np.float32]:
            self.reached.set()
            assert self.opened.wait(20)
            self.crops += len(crops)
            return infer(predictor, crops, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(Predictor, "infer", held)


@contextlib.contextmanager
def small(settings: ServiceSettings, **changed: object) -> Iterator[TestClient]:
    """A server with other limits on the same home."""
    with TestClient(create_app(settings.model_copy(update=changed))) as client:
        while client.get("/readyz").status_code != 200:
            pass
        yield client


def test_who_comes_when_all_places_are_taken_is_asked_to_come_again(
    with_student: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 at once, with Retry-After; those inside are answered, and then there is room again."""
    with small(with_student, max_in_flight=2) as client:
        gate = Gate()
        gate.hold(monkeypatch)
        statuses: list[int] = []
        inside = [
            threading.Thread(
                target=lambda: statuses.append(
                    client.post("/predict", content=picture()).status_code
                )
            )
            for _ in range(2)
        ]
        for thread in inside:
            thread.start()
        assert gate.reached.wait(10)
        while client.app.state.context.admission.inside < 2:  # type: ignore[attr-defined]
            pass

        refused = client.post("/predict", files={"image": picture()})
        alive = client.get("/readyz")
        gate.opened.set()
        for thread in inside:
            thread.join(20)
        again = client.post("/predict", content=picture())

    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["type"] == "urn:okdhp:problem:queue-full"
    assert alive.status_code == 200
    assert statuses == [200, 200]
    assert again.status_code == 200


@pytest.mark.parametrize("by", ["header", "setting"])
def test_what_comes_too_late_is_dropped(
    with_student: ServiceSettings, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """504 when the time is over; what still waited is never computed."""
    deadline_s = 0.3 if by == "setting" else None
    headers = {"X-Timeout-Ms": "300"} if by == "header" else {}
    with small(with_student, deadline_s=deadline_s, predict_threads=1) as client:
        gate = Gate()
        gate.hold(monkeypatch)
        first = client.post("/predict", content=picture(), headers=headers)
        second = client.post("/predict", content=picture(), headers=headers)
        gate.opened.set()
        third = client.post("/predict", content=picture())

    assert [first.status_code, second.status_code] == [504, 504]
    assert second.json()["type"] == "urn:okdhp:problem:deadline-passed"
    assert third.status_code == 200
    assert gate.crops == 2, "the first had begun, the second is dropped, the third is answered"


def test_work_of_a_client_who_has_gone_is_dropped(
    with_student: ServiceSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over a real connection, closed while the request waits for its inference."""
    import uvicorn

    app = create_app(with_student.model_copy(update={"predict_threads": 1}))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        pass
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    while httpx.get(f"{url}/readyz").status_code != 200:
        pass
    gate = Gate()
    gate.hold(monkeypatch)
    admission = app.state.context.admission

    for _ in range(2):  # the first is being computed, the second waits behind it
        with contextlib.suppress(httpx.TimeoutException):
            httpx.post(f"{url}/predict", content=picture(), timeout=0.5)
    while admission.inside:
        pass
    gate.opened.set()
    answered = httpx.post(f"{url}/predict", content=picture())
    server.should_exit = True
    thread.join(20)

    assert answered.status_code == 200
    assert gate.crops == 2, "that of the first and that of the last"


def test_a_place_is_free_again_whatever_happens_in_it() -> None:
    """An error inside must not cost a place for ever."""
    anybody = Request({"type": "http", "http_version": "1.1", "headers": []})

    async def run() -> int:
        admission = Admission(1)
        for _ in range(3):
            with contextlib.suppress(ValueError):
                async with admission.place(anybody, None):
                    with pytest.raises(QueueFull):
                        await admission.place(anybody, None).__aenter__()
                    raise ValueError
            with pytest.raises(DeadlinePassed):
                async with admission.place(anybody, 0.01):
                    await asyncio.sleep(5)
        return admission.inside

    assert asyncio.run(run()) == 0


@pytest.mark.parametrize(
    ("version", "header", "reads"),
    [
        ("1.1", (b"accept", b"*/*"), False),
        ("1.0", (b"accept", b"*/*"), True),
        ("1.1", (b"connection", b"Close"), True),
        ("1.1", (b"expect", b"100-continue"), True),
    ],
)
def test_the_body_of_a_refused_is_read_only_if_his_connection_would_end(
    version: str, header: tuple[bytes, bytes], reads: bool
) -> None:
    """Thousands of large bodies must not be handled under overload, nor an answer be lost. Who is
    refused stays refused, even if there is room by the time his body has been thrown away."""
    admission = Admission(1)
    scope = {"type": "http", "http_version": version, "headers": [header]}

    async def run() -> bool:
        inside = admission.place(Request({**scope, "headers": []}), None)
        await inside.__aenter__()
        read = False

        async def receive() -> dict[str, object]:
            nonlocal read
            read = True
            await inside.__aexit__(None, None, None)
            return {"type": "http.request", "body": b"picture", "more_body": False}

        with pytest.raises(QueueFull):
            await admission.place(Request(scope, receive), None).__aenter__()
        return read

    assert asyncio.run(run()) == reads
