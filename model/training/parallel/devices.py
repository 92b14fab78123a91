"""On what a training computes."""

import torch

from model.cores import cores
from model.errors import ConfigError, Fault


def pick_device(name: str) -> torch.device:
    """`auto` is the first CUDA device that answers, else the CPU. Raises ConfigError."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or (device.type == "cuda" and not torch.cuda.is_available()):
        raise ConfigError([Fault("device", f"{name!r} is not to be had here", "auto, cpu, cuda:0")])
    return device


def device_name(device: torch.device) -> str:
    """What a person calls it: `NVIDIA H100`, `cpu, 3 threads`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def leave_a_core(processes: int = 1) -> None:
    """Fewer threads than cores, where there are two or more; fewer still are left as they are.

    torch's threads wait for each other at every layer: where anything else wants the last core,
    all of them crawl. On two cores with one other process busy, two threads made 15 images a
    second and one made 184 (`tiny` at 96 pixels). processes: how many of a training share the
    cores of this machine.
    """
    threads = max(1, (cores() - 1) // processes)
    torch.set_num_threads(min(torch.get_num_threads(), threads))
