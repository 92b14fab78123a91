"""What a configuration leaves to the device: the people of a step, and the epochs of a budget.

Both are found on sessions that are thrown away, so that the one that trains is as it was.
"""

import gc
import time
from collections.abc import Callable
from statistics import median
from typing import Final

import numpy as np
import torch

from model.data.packing import Pack
from model.errors import ConfigError, Fault
from model.training.loop import Loop
from model.training.parallel.group import Group
from model.training.state.session import Session
from model.training.step import Step

_LARGEST: Final = 8192
_FILL: Final = 0.9
"""Share of the device's memory that a step may take: evaluating needs some, and fragments do."""
_WARM: Final = 3
_STEPS: Final = 20
_LONG_ENOUGH_S: Final = 10.0


def settle(session: Session, people: Pack, group: Group) -> list[str]:
    """Fill in `training.batch_size: 0` and `training.device_minutes`, unless the run has begun.

    Returns what was chosen, for the log. Raises ConfigError.
    """
    asked, progress = session.given.training, session.progress
    told = []
    if not asked.batch_size and not progress.batch_size:
        session.settle(batch_size=_automatic_batch_size(session, people, group))
        told.append(f"training.batch_size {progress.batch_size} fits the memory of the device")
    if asked.device_minutes and not progress.epochs:
        own = step_seconds(session, people, group)
        step_s = group.same(lambda: own)
        steps = len(people) // min(session.config.training.batch_size, len(people))
        epochs = epochs_within(60 * asked.device_minutes, steps * step_s, asked.epochs)
        session.settle(epochs=epochs)
        told.append(
            f"training.epochs {epochs} of {steps} steps of {1000 * step_s:.1f} ms "
            f"fit into {asked.device_minutes:g} minutes"
        )
    return told


def epochs_within(seconds: float, epoch_s: float, most: int) -> int:
    """How many epochs of so many seconds fit, from 1 up to `most`."""
    return max(1, min(most, int(seconds / epoch_s)))


def step_seconds(session: Session, people: Pack, group: Group) -> float:
    """How long a step takes, waiting for data counted in: judging and saving are no part of it."""
    trial = Session(session.config, session.skeleton, session.device)
    asked_s: list[float] = []

    def enough() -> bool:
        asked_s.append(time.monotonic())
        warm = asked_s[_WARM:]
        return len(warm) > _STEPS or (len(warm) > 1 and warm[-1] - warm[0] > _LONG_ENOUGH_S)

    loop = Loop(
        trial, people, stop=enough, report=lambda _: None, checkpoint=lambda: None, group=group
    )
    for _ in loop.epochs():
        pass
    if not loop.stopped:
        asked_s.append(time.monotonic())  # a training of a few steps is over before
    times = np.diff(asked_s)
    return float(median(times[_WARM:] if len(times) > _WARM else times))


def largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest of 1, 2, 3, 4, 6, 8, 12, … up to `most` that fits, 0 where none does."""
    sizes = {2**k for k in range(14)} | {3 * 2**k for k in range(13)}
    found = 0
    for size in sorted(size for size in sizes if size <= most):
        if not fits(size):
            break
        found = size
    return found


def _automatic_batch_size(session: Session, people: Pack, group: Group) -> int:
    """As many people as the devices have memory for, the smallest device of all deciding."""
    if session.device.type != "cuda":
        fault = f"0 is chosen by the memory of a CUDA device, and this is {session.device.type}"
        raise ConfigError([Fault("training.batch_size", fault, f"1 … {_LARGEST}")])
    parts = session.config.training.accumulate
    most = min(_LARGEST, len(people)) // (parts * group.size)
    own = largest(lambda size: _fits(session, people, size * parts), most)
    size = int(group.gather(np.array([own])).min())
    if not size:
        fault = "not even one person a part fits the memory of the device"
        accepted = "a larger training.accumulate, a smaller network or crop"
        raise ConfigError([Fault("training.batch_size", fault, accepted)])
    return size * parts * group.size


def _fits(session: Session, people: Pack, size: int) -> bool:
    """Whether two steps with so many people leave enough of the CUDA device's memory."""
    device = session.device
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    room = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    try:
        try_steps(session, people, size)
    except torch.OutOfMemoryError:
        return False
    finally:
        gc.collect()  # a network and its gradients are a cycle
        torch.cuda.empty_cache()
    return torch.cuda.max_memory_reserved(device) <= _FILL * room


def try_steps(session: Session, people: Pack, size: int) -> None:
    """Two steps by this process alone: the optimiser takes its memory in the first.

    Not compiled: a size takes a moment to try and minutes to compile for.
    """
    training = session.config.training.model_copy(update={"compile": False})
    config = session.config.model_copy(update={"training": training})
    trial = Session(config, session.skeleton, session.device)
    rows = np.resize(np.arange(len(people)), size)
    pixels, joints = (
        torch.from_numpy(values[rows]).to(session.device)
        for values in (people.pixels, people.joints)
    )
    step = Step(trial)
    for _ in range(2):
        step(pixels, joints, people=size, lr=0.0, ramp=1.0)
