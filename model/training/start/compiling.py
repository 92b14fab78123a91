"""`training.compile`: the network built by torch.compile, where a compiler is at hand."""

from functools import cache

import torch
from torch import Tensor, nn


def compile_in_place(network: nn.Module, device: torch.device, backend: str = "inductor") -> str:
    """Let calls of the network be compiled; it and its weights keep their names.

    Returns why it was not done, or nothing.
    """
    if why := _missing(device, backend):
        return f"training.compile is left out: {why}"
    network.compile(backend=backend)
    return ""


@cache
def _missing(device: torch.device, backend: str) -> str:
    """What keeps torch.compile from working here; found out by letting it do something small."""
    try:
        torch.compile(_small, backend=backend)(torch.ones(8, device=device))
    except Exception as error:  # each backend has its own for a compiler that is not there
        return str(error).strip().splitlines()[0] or type(error).__name__
    return ""


def _small(x: Tensor) -> Tensor:
    return x * 2 + 1
