"""What is learnt from, and how crops of it vary."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from model.config.base import Fraction, Part


class SourceConfig(Part):
    """One set of labelled people."""

    dataset: str | None = Field(None, description="name of a registered data set")
    format: Literal["lsp", "mpii", "coco", "pack", "synthetic"] | None = None
    path: Path | None = Field(None, description="folder of the set; not for `synthetic`")
    split: str | None = Field(None, description="part of the set, as `train` or `valid`")
    skip: int = Field(0, ge=0, le=10_000_000, description="leave out the first so many people")
    people: int | None = Field(
        None, ge=1, le=10_000_000, description="at most so many; of `synthetic`, how many are drawn"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of `synthetic`")
    size_px: int = Field(192, ge=64, le=1024, description="side of the pictures of `synthetic`")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.dataset is None) == (self.format is None):
            raise ValueError("needs either `dataset` or `format`")
        if self.format == "synthetic" and self.path is not None:
            raise ValueError("`synthetic` is drawn and takes no path")
        if self.format not in (None, "synthetic") and self.path is None:
            raise ValueError(f"format {self.format} needs a `path`")
        return self

    @property
    def told(self) -> str:
        """What it is called, as `lsp:train` or `synthetic of seed 3`; no path of anybody's disk."""
        if self.format == "synthetic":
            name = f"synthetic of seed {self.seed}"
        else:
            name = self.dataset or (self.path.name if self.path else "")
            name += f":{self.split}" if self.split else ""
        return f"{name} after the first {self.skip}" if self.skip else name


class DataConfig(Part):
    """What is learnt from, and how a person is cut out."""

    skeleton: Literal["mpii16", "coco17", "lsp14", "source"] = Field(
        "mpii16", description="`source`: that of the first training set, as a COCO file's category"
    )
    crop_px: tuple[int, int] = Field((128, 128), description="the network's input (height, width)")
    padding: float = Field(
        0.25, ge=0, le=2, description="room round the box, a fraction of its side, at each side"
    )
    train: tuple[SourceConfig, ...] = Field(min_length=1)
    valid: tuple[SourceConfig, ...] = Field(min_length=1)
    weights: str | None = Field(
        None,
        description="how far each training label is believed: the weights.npz of an audit, "
        "or the id of an audit job",
    )

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if not all(32 <= side <= 1024 for side in self.crop_px):
            raise ValueError(f"crop_px {list(self.crop_px)}: each side must be within 32…1024")
        return self


class AugmentConfig(Part):
    """How training crops vary; all of it on the training device."""

    rotation_deg: float = Field(30, ge=0, le=180)
    rotation_share: Fraction = Field(1.0, description="share of the crops that are turned at all")
    scale: float = Field(0.25, ge=0, lt=1, description="zoom is drawn within 1 ± this")
    shift: float = Field(0.0, ge=0, le=0.5, description="of the crop's side, each way")
    flip: Fraction = 0.5
    colour: float = Field(0.2, ge=0, le=1, description="strength of brightness, contrast and tint")
    half_body: Fraction = Field(0.0, description="share of crops on the upper or lower body only")
