"""What a person can set about the service; environment variables `OKDHP_…` as for the worker."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field, StringConstraints

from model.cores import cores
from service.logs import LogFormat
from service.predict.batcher import BATCH
from worker.gate import GatePolicy
from worker.settings import WorkerSettings

Origin = Annotated[str, StringConstraints(pattern=r"^(\*|https?://[^/\s]+)$")]


class ServiceSettings(WorkerSettings):
    """The worker's settings and those of the API beside it."""

    provider: Literal["cpu", "cuda", "tensorrt"] = Field(
        "cpu", description="the runtime that must answer; /readyz fails on any other"
    )
    session_threads: int | None = Field(
        None,
        ge=1,
        description="threads of one inference; by default the cores that this process may use",
    )
    predict_threads: int = Field(
        default_factory=lambda: max(2, cores()),
        ge=1,
        description="photographs that are decoded and cut at once",
    )
    max_in_flight: int = Field(
        64, ge=1, description="requests for poses in work or waiting; more are answered 429"
    )
    deadline_s: float | None = Field(
        30.0, gt=0, description="a request for poses that takes longer is dropped and answered 504"
    )
    degrade: bool = Field(
        False, description="under pressure smaller registered branches of production's run answer"
    )
    batch_people: int = Field(BATCH, ge=1, description="people in one inference")
    batch_delay_ms: float = Field(
        0.0, ge=0, description="how long an inference that is not full waits for more people"
    )
    max_image_bytes: int = Field(32 * 1024**2, ge=1, description="of a body for /predict")
    max_body_bytes: int = Field(1024**2, ge=1, description="of any other body")
    body_timeout_s: float = Field(30.0, gt=0, description="for a body to arrive whole; then 408")
    max_pixels: int = Field(50_000_000, ge=1, description="of an image, by its header")
    max_boxes: int = Field(64, ge=1, description="people on one photograph")
    max_images: int = Field(16, ge=1, description="photographs in one request")
    loaded_models: int = Field(
        3, ge=1, description="models kept loaded beside the one in production"
    )
    log_format: LogFormat = Field("auto", description="of stderr; auto: JSON if it is no terminal")
    traces_endpoint: str | None = Field(
        None,
        validation_alias=AliasChoices(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
        ),
        description="where OpenTelemetry's traces go, by its own variables; none: nowhere",
    )
    registry_poll_s: float = Field(
        1.0, gt=0, description="another replica's promotion or a revoked key is noticed within"
    )
    cors_origins: tuple[Origin, ...] = Field(
        (), description='other sites whose pages may use the server: ["https://lab.example"]'
    )
    require_keys: bool = Field(
        False, description="whether requests need an API key; once any was made they do in any case"
    )
    gate_moved_share: float = Field(
        0.02, ge=0, le=1, description="of joints that a version may place otherwise than PyTorch"
    )
    gate_metric_change: float = Field(
        1.0, ge=0, description="points of PCK that a version may differ from PyTorch"
    )
    gate_max_latency_ms: float | None = Field(
        None, gt=0, description="of a version's median for one crop, by its receipt"
    )
    gate_min_accuracy: dict[str, float] = Field(
        default_factory=dict, description='demanded of a version: {"lsp:valid pck@0.2": 60}'
    )
    gate_max_loss: float | None = Field(
        None, ge=0, description="points of PCK that a version may lie below production"
    )
    gate_licences: tuple[str, ...] | None = Field(
        None, description='terms that a version may come from: ["Apache-2.0", "*BSD*"]'
    )

    @property
    def gate(self) -> GatePolicy:
        """What is demanded of a version before production."""
        return GatePolicy(
            moved_share=self.gate_moved_share,
            metric_change=self.gate_metric_change,
            max_latency_ms=self.gate_max_latency_ms,
            min_accuracy=self.gate_min_accuracy,
            max_loss=self.gate_max_loss,
            licences=self.gate_licences,
        )
