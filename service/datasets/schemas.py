"""What /datasets takes and answers."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class DatasetPost(BaseModel):
    """A labelled set that lies in the data folder."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"name": "lsp", "format": "lsp", "path": "lsp"}]},
    )

    name: str = Field(max_length=64, description="how jobs will name it")
    format: Literal["lsp", "mpii", "coco", "pack"]
    path: str = Field(max_length=1000, description="of its folder, below the data folder")


class DatasetDocument(BaseModel):
    """A registered set, as it was found."""

    name: str
    format: str
    path: str = Field(description="below the data folder")
    splits: dict[str, Any] = Field(description="for each split its counts")
    problems: list[str] = Field(description="what to know before using it")
    fingerprint: str = Field(description="SHA-256 over labels and images' sizes")
    created_at: datetime


class DatasetList(BaseModel):
    """Every registered set, by name."""

    datasets: list[DatasetDocument]
