"""Traces: a real collector's HTTP, its protobuf decoded; and nothing at all where none is named."""

import http.server
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from PIL import Image

from service.settings import ServiceSettings


class Collector(http.server.ThreadingHTTPServer):
    """Takes what an OTLP exporter posts."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        for of_resource in request.resource_spans:
            named = {a.key: a.value.string_value for a in of_resource.resource.attributes}
            self.services.add(named["service.name"])
            for scope in of_resource.scope_spans:
                self.spans.extend(scope.spans)

    def trace_of(self, name: str) -> tuple[Span, list[Span]]:
        """The only request span of this name, and its children by their begin."""
        (request,) = [span for span in self.spans if span.name == name]
        children = [span for span in self.spans if span.parent_span_id == request.span_id]
        assert {span.trace_id for span in children} <= {request.trace_id}
        return request, sorted(children, key=lambda span: span.start_time_unix_nano)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        assert self.headers["Content-Type"] == "application/x-protobuf"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.take(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, args=(0.02,))
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


@pytest.fixture
def traced(with_student: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The settings, with a collector named as OpenTelemetry's own programs are told of it."""

    def to(url: str) -> ServiceSettings:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        told = ServiceSettings().traces_endpoint
        return with_student.model_copy(update={"traces_endpoint": told})

    return to


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2000, 1500)).save(buffer, "PNG")  # its decoding takes milliseconds
    return buffer.getvalue()


def test_a_prediction_is_a_trace_with_its_stages(
    collector: Collector, traced: Any, started: Any
) -> None:
    """Where one slow request spent its time, and in whose trace it stands."""
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with started(traced(collector.url)) as client:
        client.post("/predict", content=picture(), headers={"traceparent": caller})

    request, stages = collector.trace_of("POST /predict")
    assert collector.services == {"okdhp"}
    assert request.trace_id.hex() == caller.split("-")[1]
    assert request.parent_span_id.hex() == caller.split("-")[2]
    assert [span.name for span in stages] == ["decode", "crop", "queue", "inference"]
    ends = [request.start_time_unix_nano, *(span.end_time_unix_nano for span in stages)]
    begins = [*(span.start_time_unix_nano for span in stages), request.end_time_unix_nano]
    for end, begin in zip(ends, begins, strict=True):
        assert end <= begin + 1_000_000, "they follow each other, within the request"


def test_the_open_inference_protocol_is_traced_too(
    collector: Collector, traced: Any, started: Any
) -> None:
    """Its crops come ready: nothing is decoded or cut."""
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 64, 64, 3], "data": [0] * 12288}
    with started(traced(collector.url)) as client:
        client.post("/v2/models/glow/infer", json={"inputs": [tensor]})

    _, stages = collector.trace_of("POST /v2/models/{model}/infer")
    assert [span.name for span in stages] == ["queue", "inference"]


def test_what_fails_is_a_trace_and_probes_are_none(
    collector: Collector, traced: Any, started: Any
) -> None:
    """Probes would be most of what is stored."""
    with started(traced(collector.url)) as client:
        client.post("/predict", content=b"no image")
        for probe in ("/healthz", "/readyz", "/metrics", "/v2/health/ready"):
            assert client.get(probe).status_code == 200

    assert {span.name for span in collector.spans} == {"POST /predict"}
    attributes = {a.key: a.value for a in collector.spans[0].attributes}
    status = attributes.get("http.response.status_code") or attributes["http.status_code"]
    assert status.int_value == 415


def test_a_collector_that_is_away_keeps_nobody_from_his_answer(
    traced: Any, started: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor the server from its end."""
    with started(traced("http://127.0.0.1:9")) as client:
        assert client.post("/predict", content=picture()).status_code == 200


def test_without_an_address_nothing_that_sends_is_imported(
    client: TestClient, with_student: ServiceSettings
) -> None:
    """It costs memory and time at every start, and may not be installed."""
    assert with_student.traces_endpoint is None
    made = made_app(with_student.home, "print(*sys.modules)")

    loaded = made.stdout.split()
    assert "fastapi" in loaded
    assert not [
        m for m in loaded if m.startswith(("opentelemetry.exporter", "opentelemetry.sdk.tr"))
    ]
    assert made.stderr == ""


def test_missing_packages_are_told_and_the_server_runs(
    with_student: ServiceSettings, traced: Any
) -> None:
    """Traces are worth less than answers."""
    traced("http://127.0.0.1:9")
    missing = "sys.modules['opentelemetry.exporter'] = None"
    made = made_app(with_student.home, "print(app.title)", before=missing)

    assert made.stdout.strip() == "okdhp"
    assert "opentelemetry.exporter" in made.stderr
    assert "pip install 'okdhp[otel]'" in made.stderr
    assert "Traceback" not in made.stderr


def made_app(home: Path, after: str, before: str = "") -> "subprocess.CompletedProcess[str]":
    """A process that assembles the application."""
    code = f"""
import sys
{before}
from service.app import create_app
from service.settings import ServiceSettings
app = create_app(ServiceSettings(home={str(home)!r}))
{after}
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
