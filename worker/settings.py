"""Where a server keeps its state and how patient it is; environment variables `OKDHP_…`."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _below(folder: str, prefix: str = "") -> Any:
    """A default that lies in the home folder."""

    def make(known: dict[str, Any]) -> str:
        return f"{prefix}{known['home'] / folder}"

    return make


class WorkerSettings(BaseSettings):
    """One home folder by default; a server sets the four URLs and folders to others."""

    model_config = SettingsConfigDict(
        env_prefix="OKDHP_", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    home: Path = Field(
        default_factory=lambda: Path.home() / ".okdhp",
        description="all state that has no other place",
    )
    database_url: str = Field(
        default_factory=_below("okdhp.db", "sqlite:///"),
        description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
        repr=False,
    )
    broker_url: str | None = Field(
        None,
        description="redis://… of the broker; none: the embedded one, below home",
        repr=False,
    )
    artifacts_url: str = Field(
        default_factory=_below("artifacts", "file://"),
        description="any fsspec URL, as s3://bucket/folder",
        repr=False,
    )
    data_dir: Path = Field(
        default_factory=lambda known: known["home"] / "data",
        description="data sets are registered by their path below it",
    )
    runs_dir: Path = Field(
        default_factory=lambda known: known["home"] / "runs",
        description="run folders of this host's jobs",
    )
    worker_name: str | None = Field(None, description="shown with its jobs; HOST:PID by default")
    devices: Annotated[tuple[str, ...], NoDecode] = Field(
        ("auto",),
        description="what jobs run on, one at a time each: auto (every GPU and the CPU), or a list "
        "of cpu and cuda:N, N as nvidia-smi counts",
    )
    gpu_free: float = Field(
        0.9,
        ge=0,
        le=1,
        description="a GPU is given a job while at least so much of its memory is free",
    )

    lease_s: float = Field(15.0, gt=0, description="a worker silent for so long has lost its job")
    heartbeat_s: float = Field(3.0, gt=0, description="a lease is renewed this often")
    housekeeping_s: float = Field(
        2.0, gt=0, description="between two looks for lost jobs and waiting ones"
    )
    lost_limit: int = Field(
        3, ge=1, description="a job whose worker was lost this often fails instead of going on"
    )
    job_limit_s: float = Field(
        0.0,
        ge=0,
        description="a job that has worked so long is ended with the reason timeout; 0 for never",
    )
    cancel_grace_s: float = Field(
        20.0, ge=0, description="between TERM and KILL of a cancelled job's processes"
    )
    drain_grace_s: float = Field(
        8.0, ge=0, description="for checkpoints when the worker itself must end; then KILL"
    )
    callback_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="who may be told of a job's end: HOST or HOST:PORT, separated by commas"
    )
    callback_secret: str | None = Field(
        None, description="signs what they are told (HMAC-SHA256)", repr=False
    )
    keep_days: float = Field(
        0.0,
        ge=0,
        description="after so long the files of an ended job go, but those of a registered model; "
        "0 for never",
    )
    keep_gb: float = Field(
        0.0,
        ge=0,
        description="ended jobs may take so much of the artifact store, and so much of each host's "
        "runs_dir: the oldest go first; 0 for any",
    )
    visibility_timeout_s: int = Field(
        24 * 3600,
        ge=1,
        description="the broker delivers an unacknowledged message again after so long",
    )

    @field_validator("home", "data_dir", "runs_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        """Children and brokers must find it whatever folder they stand in."""
        return path.expanduser().absolute()

    @field_validator("callback_hosts", "devices", mode="before")
    @classmethod
    def _split(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        return tuple(name.strip().lower() for name in given.split(",") if name.strip())

    @field_validator("devices")
    @classmethod
    def _possible(cls, devices: tuple[str, ...]) -> tuple[str, ...]:
        """Raises ValueError."""
        listed = {name for name in devices if re.fullmatch(r"cpu|cuda:\d{1,3}", name)}
        if devices != ("auto",) and (not devices or len(listed) < len(devices)):
            raise ValueError("auto, or a list of cpu and cuda:N, each once")
        return devices

    def run_dir(self, job_id: str) -> Path:
        """The run folder of a job on this host."""
        return self.runs_dir / job_id
