"""The devices that a worker gives to jobs, and whether a GPU's memory is free.

The driver's own program is asked, never CUDA: a process that has once used CUDA keeps some of the
GPU's memory, and the worker lives for months.
"""

import logging
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from model.cores import cores
from model.errors import PoseError
from worker.store import Need

log = logging.getLogger(__name__)

AUTO: Final = "auto"
_CPU: Final = "cpu"
_GPU: Final = "cuda:"
_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_ASK: Final = ("nvidia-smi", "--query-gpu=index,memory.total,memory.free")
_FORMAT: Final = "--format=csv,noheader,nounits"
_ASK_S: Final = 20.0
"""A driver that nobody holds loaded takes seconds to wake."""


class DeviceMissing(PoseError):
    """A device that the worker was told to use is not on this machine."""

    def __init__(self, names: Sequence[str], known: Sequence[str]) -> None:
        lacking = ", ".join(names)
        super().__init__(f"OKDHP_DEVICES names {lacking}; here are {', '.join(known)}")


@dataclass(frozen=True)
class Device:
    """What one job at a time runs on."""

    name: str = _CPU
    """`cpu`, or `cuda:N` with the driver's N."""
    needs: tuple[Need, ...] = (Need.CPU, Need.ANY)
    """Which jobs it is given."""
    threads: int | None = None
    """Its jobs' share of the cores; None for what torch takes by itself."""

    @property
    def gpu(self) -> int | None:
        """The driver's number of it; None for the CPU."""
        return int(self.name.removeprefix(_GPU)) if self.name.startswith(_GPU) else None

    @property
    def kind(self) -> str:
        """As torch calls it in a process that sees no other."""
        return _CPU if self.gpu is None else "cuda"

    @property
    def environment(self) -> dict[str, str]:
        """Of a job's process: it sees this device alone, whatever library looks for others."""
        visible = {
            _VISIBLE: "" if self.gpu is None else str(self.gpu),
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # the driver's numbers
        }
        return visible if self.threads is None else visible | {"OMP_NUM_THREADS": str(self.threads)}


CPU: Final = Device()
"""Alone on its machine."""


@dataclass(frozen=True)
class GpuMemory:
    """Of one GPU, in MiB; None where the driver does not tell (it shares the machine's)."""

    total: int | None
    free: int | None

    def has_free(self, share: float) -> bool:
        """Whether at least this share of it is free."""
        return self.total is None or self.free is None or self.free >= share * self.total

    def __str__(self) -> str:
        return f"{(self.free or 0) / 1024:.1f} of {(self.total or 0) / 1024:.1f} GiB are free"


def found_devices(names: Sequence[str] = (AUTO,)) -> tuple[Device, ...]:
    """The devices of these names; of `auto` every GPU that this process may use, and the CPU.

    The CPU leaves to the GPUs beside it what they do better. Raises DeviceMissing.
    """
    known = [f"{_GPU}{number}" for number in gpus()] + [_CPU]
    chosen = known if AUTO in names else list(names)
    if lacking := [name for name in chosen if name not in known]:
        raise DeviceMissing(lacking, known)
    threads = max(1, cores() // len(chosen)) if len(chosen) > 1 else None
    beside_gpus = any(name != _CPU for name in chosen)
    of_cpu = (Need.CPU,) if beside_gpus else (Need.CPU, Need.ANY)
    return tuple(
        Device(name, of_cpu if name == _CPU else (Need.GPU, Need.ANY), threads) for name in chosen
    )


def gpus() -> Mapping[int, GpuMemory]:
    """The memory of every GPU that this process may use, by the driver's numbers, as it is now.

    None where the driver's program is missing or does not answer.
    """
    visible = os.environ.get(_VISIBLE)
    if visible == "":
        return {}
    chosen = [] if visible is None else [f"--id={visible}"]
    try:
        answer = subprocess.run(
            [*_ASK, *chosen, _FORMAT], capture_output=True, text=True, timeout=_ASK_S, check=True
        )
        lines = [line.split(",") for line in answer.stdout.splitlines() if line.strip()]
        return {int(n): GpuMemory(_mib(total), _mib(free)) for n, total, free in lines}
    except FileNotFoundError:
        return {}
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        log.warning("no GPU is given to jobs: %s", error)
        return {}


def _mib(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None
