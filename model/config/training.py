"""How long, how fast, on what, judged by what, and what comes out."""

from typing import Literal

from pydantic import Field

from model.config.base import NotNegative, Part, Positive


class OptimConfig(Part):
    optimizer: Literal["adam", "adamw"] = "adam"
    lr: float = Field(2.5e-4, gt=0, le=1)
    weight_decay: float = Field(0.0, ge=0, le=1)
    schedule: Literal["step", "cosine"] = "step"
    milestones: tuple[Positive, ...] = Field((90, 120), description="epochs of `step`'s drops")
    gamma: float = Field(0.1, gt=0, le=1, description="factor of `step`'s drops")
    warmup_epochs: NotNegative = 0.0
    clip_norm: NotNegative = Field(0.0, description="largest gradient norm; 0 for no clipping")


class TrainingConfig(Part):
    epochs: int = Field(140, ge=1, le=100_000)
    batch_size: int = Field(
        4,
        ge=0,
        le=8192,
        description="people a step, on all devices together; "
        "0 for as many as the memory of the CUDA devices takes",
    )
    accumulate: int = Field(
        1, ge=1, le=1024, description="parts into which a step's batch is split to save memory"
    )
    devices: int = Field(1, ge=1, le=1024, description="processes under torchrun, each its device")
    seed: int = Field(0, ge=0, lt=2**32)
    amp: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto: bf16 where it was measured to be faster, else fp32"
    )
    compile: bool = Field(False, description="whether torch.compile builds the network")
    ema_decay: float = Field(0.0, ge=0, lt=1, description="0 for none")
    init: str | None = Field(
        None,
        description="weights to begin with: an exported ONNX file, a run's folder or best.pt, "
        "a registered model (NAME or NAME:VERSION) or the id of a distill job",
    )
    early_stop_epochs: int = Field(
        0, ge=0, description="epochs without a better score; 0 for never"
    )
    max_hours: NotNegative = Field(
        0.0, description="ends after the epoch in which so much time has passed; 0 for never"
    )
    device_minutes: NotNegative = Field(
        0.0,
        description="as many epochs, up to `epochs`, as fit in so much time of the device, "
        "measured at the start; 0 for `epochs`",
    )
    checkpoint_s: Positive = Field(
        300.0, description="a checkpoint within an epoch after so many seconds"
    )
    keep_last: int = Field(1, ge=1, le=1000, description="checkpoints kept, the latest")
    keep_best: int = Field(1, ge=1, le=1000, description="best epochs kept")
    cache: Literal["auto", "memory", "disk"] = Field(
        "auto", description="where cut-out people lie: auto is memory where they take 4 GiB or less"
    )
    tensorboard: bool = Field(False, description="whether curves are written for TensorBoard")


class EvaluationConfig(Part):
    decoder: Literal["quarter", "dark", "expectation"] = Field(
        "dark", description="how a map becomes a point; exported with the student"
    )
    flip_test: bool = False
    metric: Literal["pck@0.2", "pckh@0.5", "AP"] = Field("pck@0.2", description="chooses the best")
    every_epochs: int = Field(1, ge=1)


class ExportConfig(Part):
    name: str = Field("student", pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="in the registry")
    branch: str = Field("best", description="a branch's name, `best` or `all`")
    licence: str = Field("the terms of the training data apply", max_length=500)
