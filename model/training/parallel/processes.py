"""Several processes that train together: what torchrun starts, a device each."""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from model.config import Config
from model.errors import ConfigError, Fault
from model.training.parallel.devices import leave_a_core, pick_device
from model.training.parallel.group import ALONE, Group
from model.training.parallel.norms import share_norms

T = TypeVar("T")

_PATIENCE: Final = timedelta(days=1)
"""The first process may cut out people for hours; torchrun itself ends all where one dies."""


class Processes(Group):
    """The processes of torchrun, of which this is one."""

    def __init__(self, device: torch.device) -> None:
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=_PATIENCE)
        # Words between steps go by way of the CPU: asking the GPU would wait for it.
        self._words = dist.new_group(backend="gloo", timeout=_PATIENCE)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def parallel(self, learner: nn.Module) -> nn.Module:
        share_norms(learner)
        device = next(learner.parameters()).device
        with warnings.catch_warnings():
            # Torch from 2.13 on has another name for `broadcast_buffers`, which others lack.
            warnings.simplefilter("ignore", FutureWarning)
            module = DistributedDataParallel(
                learner,
                device_ids=[device.index] if device.type == "cuda" else None,
                broadcast_buffers=False,  # normalisations have seen the same everywhere
                gradient_as_bucket_view=True,
            )
        module.register_comm_hook(None, _summed)
        return module

    def apart(self, parallel: nn.Module) -> contextlib.AbstractContextManager[Any]:
        assert isinstance(parallel, DistributedDataParallel)
        return parallel.no_sync()

    def sum(self, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    def any(self, flag: bool) -> bool:
        count = torch.tensor([flag], dtype=torch.int32)
        dist.all_reduce(count, group=self._words)
        return bool(count)

    def gather(self, rows: NDArray[Any]) -> NDArray[Any]:
        everybodys: list[Any] = [None] * self.size
        dist.all_gather_object(everybodys, rows, group=self._words)
        return np.concatenate(everybodys)

    def same(self, make: Callable[[], T]) -> T:
        made = [make() if self.leads else None]
        dist.broadcast_object_list(made, src=0, group=self._words)
        return made[0]  # type: ignore[return-value]

    def in_turn(self, make: Callable[[], T]) -> T:
        first = int(os.environ["LOCAL_RANK"]) == 0
        if first:
            made = make()
        dist.barrier(group=self._words)
        return made if first else make()


def _summed(
    state: None,
    bucket: dist.GradBucket,  # type: ignore[name-defined]
) -> torch.futures.Future[torch.Tensor]:
    """DistributedDataParallel's own would be the mean, but losses are parts of one whole."""
    coming: torch.futures.Future[list[Tensor]] = dist.all_reduce(
        bucket.buffer(), async_op=True
    ).get_future()
    return coming.then(lambda done: done.value()[0])


def under_torchrun() -> bool:
    """Whether this process is one of several that torchrun started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


@contextlib.contextmanager
def joined(config: Config, device: str) -> Iterator[tuple[Group, torch.device]]:
    """The group that this process belongs to, and its own device. Raises ConfigError."""
    if not under_torchrun():
        leave_a_core()
        yield ALONE, pick_device(device)
        return
    size, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    asked = config.training.devices
    if asked not in (1, size):
        fault = f"asks for {asked}, but torchrun started {size} processes"
        raise ConfigError([Fault("training.devices", fault, f"{size}, or 1 to take what is there")])
    leave_a_core(here)
    own = pick_own_device(device, int(os.environ["LOCAL_RANK"]), here)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    group = Processes(own)
    try:
        yield group, own
    finally:
        dist.destroy_process_group()


def pick_own_device(name: str, place: int, processes: int) -> torch.device:
    """The device of one of so many processes of this machine. Raises ConfigError."""
    device = pick_device(name)
    if ":" in name:
        fault = f"{name!r} is one device, of {processes} processes"
        raise ConfigError([Fault("device", fault, "auto, cpu, cuda")])
    if device.type != "cuda":
        return device
    there = torch.cuda.device_count()
    if there < processes:
        fault = f"{processes} were asked for, {there} are here"
        raise ConfigError([Fault("training.devices", fault, f"1 … {there}")])
    return torch.device("cuda", place)
