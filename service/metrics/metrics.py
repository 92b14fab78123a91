"""Every metric of the service, in one place.

Each application has a registry of its own, so that several can live in one process. On the way of
a request nothing is looked up but the series of its model, which is kept: microseconds.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from model.predictor import Predictor
from service.errors import NotReady
from service.predict.admission import Admission
from service.predict.models import Served, ServedModels
from worker.store import Database, Need, census

log = logging.getLogger(__name__)

SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Upper bounds of durations: from a queue that is empty to the longest deadline."""
CROPS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
MODELS: Final = 32
"""So many models have series; the one that was silent for longest makes place for the next. A
server that trains and promotes every night would otherwise gather series for ever."""


class Labels(NamedTuple):
    """Who answered, and on what it ran."""

    model: str
    version: str
    branch: str
    provider: str


class Spent(NamedTuple):
    """Where one photograph's time went, in seconds; None for what it did not need."""

    decode_s: float | None
    preprocess_s: float | None
    queue_s: float | None
    inference_s: float | None


class Metrics:
    """One application's metrics. Safe to use from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._stages = (  # in the order of `Spent`
            self._seconds("decode", "From a photograph's bytes to its pixels"),
            self._seconds("preprocess", "Cutting a photograph's crops"),
            self._seconds("queue", "How long a photograph's crops waited for their inference"),
            self._seconds("inference", "From the begin of a photograph's inference to its end"),
        )
        self._total = self._seconds("total", "From a request's head to its poses")
        self._batch_crops = Histogram(
            "okdhp_batch_crops",
            "Crops that shared an inference",
            Labels._fields,
            buckets=CROPS,
            registry=self.registry,
        )
        self._batch_seconds = self._seconds("batch", "One inference of a batch")
        self._degraded = Counter(
            "okdhp_degraded",
            "Requests that a smaller branch was chosen for, since so many were in work",
            Labels._fields,
            registry=self.registry,
        )
        self._by_model = (
            *self._stages,
            self._total,
            self._batch_crops,
            self._batch_seconds,
            self._degraded,
        )
        self._of_models: OrderedDict[Labels, _OfModel] = OrderedDict()
        self._changing = threading.Lock()
        self._requests = Counter(
            "okdhp_http_requests",
            "Requests that were answered",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "okdhp_http_request_seconds",
            "From a request's head to its answer's end",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._refused = Counter(
            "okdhp_rejections",
            "Requests that were answered with a problem, by its kind",
            ("reason",),
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "okdhp_http_requests_in_flight",
            "Requests that are in work or wait",
            registry=self.registry,
        )

    def answered(self, by: Sequence[Served], spent: Iterable[Spent], total_s: float) -> None:
        """A request was answered with poses. by: one student, or the branches of an ensemble;
        spent: on each of its photographs.
        """
        branches = "+".join(served.predictor.card.branch for served in by)
        first = by[0]
        series = self._of(
            Labels(first.name, str(first.version), branches, first.predictor.provider)
        )
        for one in spent:
            for stage, seconds in zip(series.stages, one, strict=True):
                if seconds is not None:
                    stage.observe(seconds)
        series.total.observe(total_s)

    def degraded(self, served: Served) -> None:
        """A smaller branch than production's answers a request."""
        self._of(_labels(served)).degraded.inc()

    def batch(
        self, name: str, version: int, predictor: Predictor, crops: int, seconds: float
    ) -> None:
        """An inference of a model's version has run."""
        series = self._of(Labels(name, str(version), predictor.card.branch, predictor.provider))
        series.batch_crops.observe(crops)
        series.batch_seconds.observe(seconds)

    def responded(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered with whatever status. route: its template, never its path."""
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def rejected(self, reason: str) -> None:
        """A request was answered with a problem document. reason: its slug, of `errors.STATUS`."""
        self._refused.labels(reason).inc()

    def watch(self, models: ServedModels, admission: Admission, database: Database) -> None:
        """Read these whenever Prometheus asks."""
        self.registry.register(_AtScrape(models, admission, database))

    def _seconds(self, stage: str, meaning: str) -> Histogram:
        return Histogram(
            f"okdhp_{stage}_seconds",
            meaning,
            Labels._fields,
            buckets=SECONDS,
            registry=self.registry,
        )

    def _of(self, labels: Labels) -> "_OfModel":
        with self._changing:
            series = self._of_models.get(labels)
            if series is not None:
                self._of_models.move_to_end(labels)
                return series
            if len(self._of_models) >= MODELS:
                silent, _ = self._of_models.popitem(last=False)
                for metric in self._by_model:
                    metric.remove(*silent)
            series = _OfModel(
                stages=tuple(stage.labels(*labels) for stage in self._stages),
                total=self._total.labels(*labels),
                batch_crops=self._batch_crops.labels(*labels),
                batch_seconds=self._batch_seconds.labels(*labels),
                degraded=self._degraded.labels(*labels),
            )
            self._of_models[labels] = series
            return series


class _OfModel(NamedTuple):
    """The series of one model's version; `stages` in the order of `Spent`."""

    stages: tuple[Histogram, ...]
    total: Histogram
    batch_crops: Histogram
    batch_seconds: Histogram
    degraded: Counter


def _labels(served: Served) -> Labels:
    predictor = served.predictor
    return Labels(served.name, str(served.version), predictor.card.branch, predictor.provider)


class _AtScrape(Collector):
    """What is true now rather than counted: read when Prometheus asks, at no cost before."""

    def __init__(self, models: ServedModels, admission: Admission, database: Database) -> None:
        self._models, self._admission, self._database = models, admission, database

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry would else read the database to learn the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield self._production()
        yield GaugeMetricFamily(
            "okdhp_predictions_in_flight",
            "Requests for poses that are in work or wait, of at most OKDHP_MAX_IN_FLIGHT",
            value=self._admission.inside,
        )
        yield from self._jobs()

    def _production(self) -> Metric:
        production = GaugeMetricFamily(
            "okdhp_production",
            "1 for the model that answers by default; absent as long as none can",
            labels=Labels._fields,
        )
        try:
            served = self._models.production()
        except NotReady:
            return production
        production.add_metric(_labels(served), 1)
        return production

    def _jobs(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("okdhp_store_up", "Whether the database answered just now")
        try:
            jobs = census(self._database)
        except SQLAlchemyError:  # away for a moment: all other metrics are as true as before
            log.exception("the jobs cannot be counted")
            up.add_metric((), 0)
            yield up
            return
        up.add_metric((), 1)
        yield up
        counts = GaugeMetricFamily("okdhp_jobs", "Jobs by state and kind", labels=("state", "kind"))
        for (state, kind), number in jobs.counts.items():
            counts.add_metric((state, kind), number)
        yield counts
        queued = GaugeMetricFamily(
            "okdhp_jobs_queued", "Jobs that wait, by the device that they need", labels=("needs",)
        )
        for need in Need:
            queued.add_metric((need,), jobs.queued.get(need, 0))
        yield queued
        oldest = GaugeMetricFamily(
            "okdhp_jobs_oldest_queued_seconds",
            "How long ago the oldest job that waits for a worker was posted; 0 where none waits",
        )
        oldest.add_metric((), jobs.oldest_queued_s)
        yield oldest
