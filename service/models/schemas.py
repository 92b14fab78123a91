"""What /models takes and answers."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from model.precisions import Precision
from model.receipt import AgainstFp32


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
    run: str = Field(description="name of the run that it was trained in")
    siblings: list[int] = Field(description="versions that are other branches of the same job")
    variant: Precision = Field(description="what it computes with")
    against_fp32: AgainstFp32 | None = Field(
        description="what fewer bits cost and bring; null for fp32, and where nobody measured it"
    )
    loaded: bool = Field(description="whether it is in this server's memory")
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


class VersionPost(BaseModel):
    """Which student of which job becomes a model's next version."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"job": "01998e6e-0000-7000-8000-000000000000", "branch": "branch1"}]
        },
    )

    job: str = Field(max_length=36, description="id of a job that succeeded")
    branch: str = Field(max_length=64)


class RollbackPost(BaseModel):
    """Why production goes back."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "wrists jump"}]}
    )

    reason: str = Field("", max_length=1000)


class PromotionPost(BaseModel):
    """Why a version goes into production."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "3 points better on our gym"}]}
    )

    reason: str = Field("", max_length=1000)
    force: bool = Field(
        False, description="pass over what the gate finds; takes a reason, which is logged"
    )


class CheckEntry(BaseModel):
    """One demand of the gate."""

    what: str = Field(examples=["accuracy.lsp:valid.pck@0.2"])
    found: str
    demanded: str
    passed: bool


class GateEntry(BaseModel):
    """What the gate found."""

    passed: bool
    forced: bool = Field(description="whether it was passed over")
    checks: list[CheckEntry]


class PromotionEntry(BaseModel):
    """A line of the log of promotions."""

    model: str
    version: int
    at: datetime
    who: str
    why: str
    action: str = Field(description="promote or rollback")
    gate: GateEntry | None = Field(description="null where the gate was not asked")


class ModelDocument(ModelEntry):
    """A model, with the log of its promotions, newest first."""

    promotions: list[PromotionEntry]
