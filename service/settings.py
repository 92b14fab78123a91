"""What a person can set about the service; environment variables `OKDHP_…` as for the worker."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field, StringConstraints
from pydantic_settings import SettingsConfigDict

from model.cores import cores
from service.logs import LogFormat
from service.predict.batcher import BATCH
from worker.datasets import UploadBounds
from worker.gate import GatePolicy
from worker.settings import WorkerSettings

Origin = Annotated[str, StringConstraints(pattern=r"^(\*|https?://[^/\s]+)$")]


class ServiceSettings(WorkerSettings):
    """The worker's settings and those of the API beside it."""

    # OKDHP_GATE_MAX_LOSS is the gate's max_loss.
    model_config = SettingsConfigDict(env_nested_delimiter="_", env_nested_max_split=1)

    provider: Literal["cpu", "cuda", "tensorrt"] = Field(
        "cpu", description="the runtime that must answer; /readyz fails on any other"
    )
    session_threads: int = Field(
        1, ge=1, description="threads of one inference; as many run at once as cores allow"
    )
    predict_threads: int = Field(
        default_factory=lambda: cores() + 1,  # one may wait for the interpreter's lock
        ge=1,
        description="photographs in work at once, from their bytes to their crops or joints",
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
    upload: UploadBounds = Field(
        default_factory=UploadBounds,
        description="of an uploaded data set; OKDHP_UPLOAD_MAX_BYTES, OKDHP_UPLOAD_FREE_BYTES, …",
    )
    gate: GatePolicy = Field(
        default_factory=GatePolicy,
        description="what is demanded of a version before production; OKDHP_GATE_MAX_LATENCY_MS, …",
    )
