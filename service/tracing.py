"""OpenTelemetry's traces of requests, where a collector's address is set.

Its own environment variables name the collector and say the rest (OTEL_SERVICE_NAME,
OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, …). FastAPI makes the requests' spans, for which it
needs OpenTelemetry's API; what collects and sends them is imported only where an address is set.
https://opentelemetry.io/docs/specs/otel/protocol/exporter
"""

import logging
import threading
import time
from collections.abc import MutableMapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from fastapi.telemetry import TelemetryConfig

from service.metrics.metrics import Spent

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

log = logging.getLogger(__name__)

STAGES: Final = ("decode", "crop", "queue", "inference")
"""The spans of a photograph, in the order of `Spent`."""
_LAST_WORDS_S: Final = 2.0
"""A collector that does not answer would else keep a server from its end for ten seconds."""
_PROBES: Final = ("/healthz", "/readyz", "/metrics", "/v2/health")
"""They come every few seconds and tell nothing."""


class Tracing:
    """Of one application."""

    def __init__(
        self, provider: "TracerProvider | None" = None, exporter: "SpanExporter | None" = None
    ) -> None:
        """provider, exporter: None where nothing is traced."""
        self._provider, self._exporter = provider, exporter
        self.of_requests: TelemetryConfig = {  # for FastAPI; its metrics and logs are our own
            "tracer_provider": provider,
            "tracing": provider is not None,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
            "exclude": _is_probe,
        }
        self._tracer = None if provider is None else provider.get_tracer("okdhp")

    def stages(self, spent: Spent, ended: float) -> None:
        """What was done for a photograph of the current request: spans that follow each other.

        ended: when the last of them did, by `time.perf_counter`.
        """
        if self._tracer is None:
            return
        took = {name: s for name, s in zip(STAGES, spent, strict=True) if s is not None}
        at = time.time_ns() - _ns(time.perf_counter() - ended + sum(took.values()))
        for name, seconds in took.items():
            span = self._tracer.start_span(name, start_time=at)
            at += _ns(seconds)
            span.end(at)

    def close(self) -> None:
        """Sends what has not been sent, if the collector takes it soon."""
        if self._provider is None or self._exporter is None:
            return
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(_LAST_WORDS_S)
        if sending.is_alive():
            self._exporter.shutdown()  # it tries no more
            sending.join()


def open_tracing(endpoint: str | None) -> Tracing:
    """Traces if a collector is named and the packages are there.

    endpoint: what the variables say; the exporter reads them itself.
    """
    if endpoint is None:
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        log.warning(
            "a collector for traces is named, but %s is not installed: nothing is traced; "
            "pip install 'okdhp[otel]'",
            error.name,
        )
        return Tracing()
    resource = Resource.create({SERVICE_VERSION: version("okdhp")})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):  # no variable says it
        resource = resource.merge(Resource({SERVICE_NAME: "okdhp"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider, exporter)


def _is_probe(scope: MutableMapping[str, Any]) -> bool:
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path.startswith(_PROBES)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
