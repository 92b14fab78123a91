"""Randomness as a pure function of (seed, position): no generator's state is ever saved."""

import torch


def generator_for(device: torch.device, seed: int, *position: int) -> torch.Generator:
    """A generator that depends on the seed and a position in the training alone."""
    mixed = 0
    for number in (seed, *position):
        # splitmix64's constants: neighbouring positions get unrelated seeds
        mixed = ((mixed ^ (number + 0x9E3779B97F4A7C15)) * 0xBF58476D1CE4E5B9) % 2**63
        mixed ^= mixed >> 31
    return torch.Generator(device).manual_seed(mixed)
