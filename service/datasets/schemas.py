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


class VersionEntry(BaseModel):
    """A version in a set's list."""

    version: int
    reference: str = Field(description="how jobs name it", examples=["gym:2"])
    fingerprint: str
    created_at: datetime


class DatasetDocument(BaseModel):
    """A version of a set, as it was found when it came."""

    name: str
    version: int
    reference: str = Field(
        description="how jobs name this version; the name alone means the newest",
        examples=["gym:2"],
    )
    format: str
    path: str = Field(description="below the data folder")
    uploaded: bool = Field(description="whether its files are the server's, and go with it")
    splits: dict[str, Any] = Field(description="for each split its counts")
    problems: list[str] = Field(description="what to know before using it")
    fingerprint: str = Field(description="SHA-256 over labels and images' sizes")
    validation: str | None = Field(
        description="id of the job that looks at every picture: GET /jobs/{id}; uploads have one"
    )
    created_at: datetime
    versions: list[VersionEntry] = Field(
        description="all that there are of this name, newest first"
    )


class DatasetList(BaseModel):
    """The newest version of every set, by name."""

    datasets: list[DatasetDocument]
