"""The students: one stem, several branches."""

from typing import Literal, Self

from pydantic import Field, model_validator

from model.config.base import Part


class BranchConfig(Part):
    """One student."""

    name: str | None = Field(None, pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    stacks: int = Field(1, ge=1, le=16)
    width: int | None = Field(None, ge=8, le=1024, description="channels; the network's by default")


class NetworkConfig(Part):
    """The multi-branch hourglass (DESIGN.md, section 2)."""

    width: int = Field(256, ge=8, le=1024, description="channels of the stem's features")
    depth: int = Field(4, ge=1, le=6, description="how often an hourglass halves its map")
    block: Literal["bottleneck", "separable"] = Field(
        "bottleneck",
        description="of residuals: 1×1, 3×3, 1×1 as published, or depthwise 3×3 and 1×1, "
        "which is cheaper at the same width",
    )
    shared_stacks: int = Field(0, ge=0, le=16)
    branches: tuple[BranchConfig, ...] = Field(min_length=1, max_length=8)

    @model_validator(mode="after")
    def _even_widths(self) -> Self:
        for width in (self.width, *(b.width for b in self.branches if b.width)):
            if width % 4:
                raise ValueError(f"width {width} is not a multiple of 4")
        names = self.branch_names
        if len(set(names)) != len(names):
            raise ValueError(f"branch names must differ, found {list(names)}")
        return self

    @property
    def branch_names(self) -> tuple[str, ...]:
        return tuple(b.name or f"branch{i}" for i, b in enumerate(self.branches))
