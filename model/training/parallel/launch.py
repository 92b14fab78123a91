"""A training on several devices of this machine: torchrun's agent starts a process for each.

The ranks are children of this process and of its process group, so that what ends the group ends
them. What they tell is read from the run's events; why one failed, from a file that it leaves.
"""

import logging
import os
import pickle
import signal
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from model.config import Config
from model.errors import PoseError, ProcessLost
from model.training.events import EventFollower, Listener

_POLL_S: Final = 0.1

# It says of every failure what `_cause` says better, and that it handles no signals.
logging.getLogger("torch.distributed.elastic.multiprocessing.api").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Order:
    """What every rank is to do: the arguments of `model.training.run.train`."""

    config: Config
    run_dir: Path
    resume: bool
    device: str
    cache: Path | None


def launch(order: Order, stop: Callable[[], bool], listen: Listener | None) -> Any:
    """Trains in `training.devices` processes; what rank 0's `train` returns, and a rank's error.

    Raises ProcessLost where a rank ends without one.
    """
    halt = get_context("spawn").Event()
    others = set(active_children())
    events = EventFollower(order.run_dir)
    while events.read():
        pass  # of an earlier start

    def tell() -> None:
        while new := events.read():
            if listen is not None:
                for event in new:
                    listen(event)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        # In a thread, the agent leaves this process's signals to whoever called us.
        agent = elastic_launch(_settings(order.config.training.devices, folder), _rank)
        work = pool.submit(agent, order, Path(folder), halt)
        try:
            while not wait([work], _POLL_S).done:
                if stop():
                    halt.set()
                tell()
            tell()
            return work.result()[0]
        except ChildFailedError as failure:
            raise _cause(Path(folder), failure) from None
        finally:
            for rank in set(active_children()) - others:
                rank.kill()  # an interruption must not wait for them


def _settings(processes: int, folder: str) -> LaunchConfig:
    """As `torchrun --standalone --nproc-per-node N`."""
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        logs_specs=DefaultLogsSpecs(log_dir=folder),
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )


def _rank(order: Order, folder: Path, halt: Event) -> Any:
    """One process of the training."""
    from model.training.run import train  # which imports this module

    # Both ask to save and end: a terminal's Ctrl-C and a worker's TERM reach the whole group, and
    # the kernel sends INT where the launcher has died.
    asked: list[int] = []
    launcher = os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: asked.append(number))
    try:
        return train(
            order.config,
            order.run_dir,
            resume=order.resume,
            stop=lambda: bool(asked) or halt.is_set(),
            device=order.device,
            cache=order.cache or folder / "packs",  # cut out once, for all
        )
    except Exception as error:
        _leave(error, folder)
        if isinstance(error, PoseError):
            raise SystemExit(1) from None  # said where the launcher was called
        raise
    finally:
        # torch lets a rank wait for the launcher's last word, which must not be for ever.
        signal.signal(signal.SIGINT, lambda *_: _end_orphaned(launcher))
        _end_orphaned(launcher)


def _end_orphaned(launcher: int) -> None:
    if os.getppid() != launcher:
        os._exit(1)


def _leave(error: Exception, folder: Path) -> None:
    """For `_cause`; the names sort by time."""
    try:
        content = pickle.dumps(error)
    except Exception:  # not every library's error can be
        content = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    name = f"{time.monotonic_ns():020}-{os.environ['RANK']}.error"
    (folder / name).write_bytes(content)


def _cause(folder: Path, failure: ChildFailedError) -> Exception:
    """Why the training ended: where one rank fails, the others lose touch and fail as well."""
    errors = [pickle.loads(file.read_bytes()) for file in sorted(folder.glob("*.error"))]
    errors.sort(key=lambda error: not isinstance(error, PoseError))  # stable: by time besides
    if errors:
        first: Exception = errors[0]
        return first
    rank, lost = next(iter(failure.failures.items()))
    how = f"signal {-lost.exitcode}" if lost.exitcode < 0 else f"status {lost.exitcode}"
    return ProcessLost(f"process {rank} of the training ended with {how}, most often for memory")
