"""What a person can set about the service; environment variables `OKDHP_…` as for the worker."""

from typing import Literal

from pydantic import Field

from model.cores import cores
from worker.settings import WorkerSettings


class ServiceSettings(WorkerSettings):
    """The worker's settings and those of the API beside it."""

    provider: Literal["cpu", "cuda", "tensorrt"] = Field(
        "cpu", description="the runtime that must answer; /readyz fails on any other"
    )
    session_threads: int | None = Field(
        None, ge=1, description="threads of one inference; by default as the runtime finds best"
    )
    predict_threads: int = Field(
        default_factory=lambda: max(2, cores()),
        ge=1,
        description="photographs in work at once; others wait",
    )
    max_image_bytes: int = Field(32 * 1024**2, ge=1, description="of a body for /predict")
    max_body_bytes: int = Field(1024**2, ge=1, description="of any other body")
    max_pixels: int = Field(50_000_000, ge=1, description="of an image, by its header")
    max_boxes: int = Field(64, ge=1, description="people in one request")
    loaded_models: int = Field(
        3, ge=1, description="models kept loaded beside the one in production"
    )
    registry_poll_s: float = Field(
        1.0, gt=0, description="another replica's promotion is noticed within this time"
    )
