"""The label's term, and how the branches teach each other: every scheme with its own options.

Defaults are those of the scheme's paper; the scheme's file in `model/schemes` says where from.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from model.config.base import Fraction, NotNegative, Part


class TargetConfig(Part):
    """The label's term."""

    sigma_cells: float = Field(2.0, gt=0, le=16, description="of the Gaussian, in heatmap cells")
    term: Literal["mse", "ce"] = Field(
        "mse",
        description="`mse`: maps are Gaussians of height 1; `ce`: logits of a distribution",
    )


class FauConfig(Part):
    """The Feature Aggregation Unit."""

    fields: Literal["kernel", "dilation"] = Field(
        "kernel", description="receptive fields grow by kernel (3, 5, 7) or dilation (1, 2, 3)"
    )
    transforms: int = Field(3, ge=1, le=5, description="M, independent of the branches' number")
    stride: Literal[1, 2] = Field(
        1, description="transformations at every cell, or at every second: a quarter of the cost"
    )
    hidden: int = Field(64, ge=1, le=1024)
    weights: Literal["joint", "shared"] = Field(
        "joint", description="a weight for every joint and branch, or one a branch for all joints"
    )


class NoneConfig(Part):
    """Each branch learns from the label alone."""

    RAMP_SHARE: ClassVar[float] = 0.0

    name: Literal["none"] = "none"


class TeachingConfig(Part):
    """What every scheme with a KL between maps has."""

    RAMP_SHARE: ClassVar[float]
    """L, where `ramp_epochs` is not given: a share of the run's epochs."""

    lambda_kd: NotNegative = Field(1.0, description="weight of the KL to the target")
    temperature: float = Field(1.0, gt=0, le=100)
    ramp_epochs: NotNegative | None = Field(
        None, description="L of the KL's ramp-up; 0 for none, null for the paper's share of the run"
    )
    kl_mean: Literal["pixels", "joints"] = Field(
        "joints",
        description="`pixels`: summed over joints, divided by N·h·w as OKDHP published; "
        "`joints`: mean over labelled joints",
    )
    weigh_by_fit: bool = Field(
        False,
        description="whether the KL of a person's joint counts less where the target "
        "is farther from the label than the branch is",
    )


class EnsembleConfig(TeachingConfig):
    """Schemes in which the branches' ensemble teaches each; OKDHP's values."""

    RAMP_SHARE: ClassVar[float] = 60 / 140

    lambda_ens: NotNegative = Field(6.0, description="weight of the ensemble's own label term")
    lambda_kd: NotNegative = Field(5.0, description="weight of the KL to the ensemble")
    kl_mean: Literal["pixels", "joints"] = "pixels"
    detach: bool = Field(False, description="whether the target takes no gradient from the KL")
    average_teacher: bool = Field(
        False,
        description="whether the target is the ensemble of the averaged weights "
        "(training.ema_decay)",
    )


class MeanConfig(EnsembleConfig):
    """The branches' mean teaches each: OKDHP without its FAU."""

    name: Literal["mean"] = "mean"


class OkdhpConfig(EnsembleConfig):
    """The FAU's ensemble teaches each branch."""

    name: Literal["okdhp"] = "okdhp"
    fau: FauConfig = FauConfig()


class DmlConfig(TeachingConfig):
    """Deep Mutual Learning: branches teach each other."""

    RAMP_SHARE: ClassVar[float] = 0.0

    name: Literal["dml"] = "dml"


class OneConfig(EnsembleConfig):
    """On-the-Fly Native Ensemble: one gate over branches."""

    RAMP_SHARE: ClassVar[float] = 80 / 300

    name: Literal["one"] = "one"
    lambda_ens: NotNegative = 1.0
    lambda_kd: NotNegative = 1.0
    temperature: float = Field(3.0, gt=0, le=100)
    kl_mean: Literal["pixels", "joints"] = "joints"
    detach: bool = True


class OkddipConfig(TeachingConfig):
    """Diverse peers with attention, and a group leader: the last branch."""

    RAMP_SHARE: ClassVar[float] = 80 / 300

    name: Literal["okddip"] = "okddip"
    temperature: float = Field(3.0, gt=0, le=100)
    hidden: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="length of the attention's vectors; null for an eighth of network.width",
    )


class FpdConfig(Part):
    """Fast Pose Distillation: a trained teacher's maps, in a second stage."""

    RAMP_SHARE: ClassVar[float] = 0.0

    name: Literal["fpd"] = "fpd"
    teacher: str = Field(
        description="who teaches: a finished run's folder, its best.pt, or the id of a distill job"
    )
    teacher_branch: str = Field("ensemble", description="whose maps: a branch's name or `ensemble`")
    alpha: Fraction = Field(0.5, description="the teacher's share of the loss, the label has 1 − α")
    temperature: float = Field(1.0, gt=0, le=100, description="of the KL, with target.term `ce`")


SchemeConfig = Annotated[
    NoneConfig | MeanConfig | OkdhpConfig | DmlConfig | OneConfig | OkddipConfig | FpdConfig,
    Field(discriminator="name"),
]
