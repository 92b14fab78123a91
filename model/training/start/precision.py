"""In which numbers a device computes a training fastest."""

import time
from functools import cache
from typing import Final, Literal

import torch

from model.config import BranchConfig, Config, NetworkConfig
from model.network import MultiBranch

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: Final[dict[str, torch.dtype | None]] = {
    "fp32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
"""What autocast is given; None for none."""

_WORTH: Final = 1.4
"""On a CPU bf16 must be so many times as fast: what else a step does eats up less than that, and
a busy moment must not decide otherwise than a quiet one."""
_PEOPLE: Final = 16
_PASSES: Final = 3
_PATIENCE_S: Final = 5.0


def precision(config: Config, device: torch.device) -> Precision:
    """What `training.amp` means on a device; `auto` is never what is slower there."""
    wanted = config.training.amp
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        # Turing and older emulate bfloat16; their units multiply float16.
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type != "cpu":
        return "fp32"
    network = config.network
    first = NetworkConfig(
        width=network.width, depth=network.depth, block=network.block, branches=(BranchConfig(),)
    )
    people = min(config.training.batch_size or _PEOPLE, _PEOPLE)
    faster = _gain_of_bf16(first, config.data.crop_px, people, torch.get_num_threads()) >= _WORTH
    return "bf16" if faster else "fp32"


@cache
def _gain_of_bf16(
    network: NetworkConfig, crop_px: tuple[int, int], people: int, threads: int
) -> float:
    """How many times as fast as float32 a stem and a stack are, forwards and backwards.

    No list of processors would do. A whole step at batch 16 on one core with AVX512-BF16: 1.04
    times as fast with 8 channels at 64 pixels, 1.3 with 48 and 1.8 with 128 at 128 pixels, where
    this says 1.1, 1.7 and 2.1. Where neither that nor AMX is there, bf16 is slower than float32.
    """
    students = MultiBranch.build(network, 16, 0).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    crops = torch.zeros(people, *crop_px, 3).permute(0, 3, 1, 2)

    def seconds(dtype: torch.dtype | None) -> float:
        began = time.perf_counter()
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            maps = students(crops).every
        maps.float().square().mean().backward()
        return time.perf_counter() - began

    began = time.monotonic()
    seconds(None), seconds(torch.bfloat16)  # kernels are chosen and memory is taken
    pairs = [(seconds(None), seconds(torch.bfloat16))]
    while len(pairs) < _PASSES and time.monotonic() - began < _PATIENCE_S:
        pairs.append((seconds(None), seconds(torch.bfloat16)))
    full, half = (min(times) for times in zip(*pairs, strict=True))
    return float(full / half)
