"""What a network costs: the numbers that it learnt, and the multiplications of one crop.

Counted are the multiply-accumulates of convolutions and linear layers, which are half of what
PyTorch's counter calls FLOPs; normalisation (folded into its convolution, or nearly free),
activations, pooling, additions, losses and the decoder are not. Papers of pose networks count so.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from model.geometry import STRIDE
from model.network.branches import MultiBranch

_aten = torch.ops.aten
_LAYERS: Final = (_aten.convolution, _aten.addmm, _aten.mm)
"""Convolutions, and linear layers with and without a bias."""


@dataclass(frozen=True)
class Cost:
    """parameters: every learnt number, of normalisation too. macs: of one crop."""

    parameters: int
    macs: int

    @property
    def gmacs(self) -> float:
        return self.macs / 1e9


def student_cost(network: MultiBranch, branch: int, crop_px: tuple[int, int]) -> Cost:
    """A branch as it is deployed: with the stem and the stacks that it stands on, nothing else.

    crop_px: (H, W) of the crop.
    """
    return _counted(network.cut(branch), lambda student: student(_crop(crop_px)))


def learner_cost(network: MultiBranch, scheme: nn.Module, crop_px: tuple[int, int]) -> Cost:
    """All that learns: stem, every branch, and the scheme's own layers as its loss uses them.

    Forward alone, as everybody counts; a step of training takes about three times that. Another
    run that teaches is not counted.
    """
    H, W = crop_px
    h, w = H // STRIDE, W // STRIDE

    def answer(whole: nn.Module) -> None:
        network, scheme = whole.children()
        maps = network(_crop(crop_px))
        K = maps.last.shape[2]
        target = torch.empty(1, K, h, w)
        scheme(maps, target, torch.empty(1, K), 1.0, target)

    return _counted(nn.ModuleList([network, scheme]), answer)


def _crop(crop_px: tuple[int, int]) -> Tensor:
    return torch.empty(1, 3, *crop_px)


def _counted(module: nn.Module, answer: Callable[[nn.Module], object]) -> Cost:
    """Counted by shapes alone, on tensors that hold no numbers: any size takes no time."""
    # In eval mode, since batch normalisation refuses to learn from one crop's smallest map.
    copied = copy.deepcopy(module).to_empty(device="cpu").eval()  # from any device, uncopied
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with fake, torch.no_grad(), FlopCounterMode(display=False) as counter:
        answer(copied)
    flops = counter.get_flop_counts()["Global"]
    return Cost(
        parameters=sum(p.numel() for p in module.parameters()),
        macs=sum(flops.get(layer, 0) for layer in _LAYERS) // 2,
    )
