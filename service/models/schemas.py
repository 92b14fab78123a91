"""What /models takes and answers."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class VersionEntry(BaseModel):
    """One student of a model."""

    model: str = Field(examples=["okdhp"])
    version: int = Field(examples=[1])
    in_production: bool = Field(description="whether /predict answers with it by default")
    branch: str
    skeleton: str
    input_px: tuple[int, int] = Field(description="(height, width) of the crop it sees")
    bytes: int
    sha256: str
    licence: str
    data: list[str] = Field(description="what it learnt from")
    metrics: dict[str, Any]
    has_receipt: bool = Field(description="whether the version came with its receipt")
    job: str | None = Field(description="id of the job that made it")
    created_at: datetime


class ModelEntry(BaseModel):
    """A model with its versions, newest first."""

    name: str
    default_version: int = Field(description="what the bare name means")
    versions: list[VersionEntry]


class ProductionEntry(BaseModel):
    """What /predict answers with by default."""

    model: str
    version: int


class ModelList(BaseModel):
    """Every model."""

    production: ProductionEntry | None
    models: list[ModelEntry]


class PromotionPost(BaseModel):
    """Why a version goes into production."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "3 points better on our gym"}]}
    )

    reason: str = Field("", max_length=1000)


class PromotionEntry(BaseModel):
    """A line of the log of promotions."""

    model: str
    version: int
    at: datetime
    who: str
    why: str


class ModelDocument(ModelEntry):
    """A model, with the log of its promotions, newest first."""

    promotions: list[PromotionEntry]
