"""How much a stranger's archive may hold."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

_MIB: Final = 1024**2
_GIB: Final = 1024**3


class UploadBounds(BaseModel):
    """Of one upload; the free space is asked for anew at every piece that is written."""

    model_config = ConfigDict(frozen=True)

    max_bytes: int = Field(4 * _GIB, ge=1, description="of an archive")
    max_unpacked_bytes: int = Field(8 * _GIB, ge=1, description="of all its files together")
    max_label_bytes: int = Field(
        32 * _MIB,
        ge=1,
        description="of its .json, .mat and .txt together: they are read whole, and become some "
        "twenty times as large in memory",
    )
    max_files: int = Field(100_000, ge=1, description="in an archive, folders counted")
    max_ratio: float = Field(
        50, ge=1, description="how many times its size an archive unpacks to, from 16 MiB on"
    )
    free_bytes: int = Field(2 * _GIB, ge=0, description="of the disk, which no upload takes")
