"""The numbers that a student computes with."""

from typing import Final, Literal, get_args

Precision = Literal["fp32", "fp16", "int8"]
VARIANTS: Final = get_args(Precision)
Fewer = Literal["fp16", "int8"]
"""Those that are made of a float32 file."""

FULL: Final = "fp32"
RANGES_PEOPLE: Final = 128
"""So many crops are enough for int8's ranges."""
