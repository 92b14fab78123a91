"""What a network costs: the numbers that it learnt, and the multiplications of one crop.

Counted are the multiply-accumulates of convolutions, linear layers and matrix products, which are
half of what PyTorch's counter calls FLOPs; normalisation (folded into its convolution, or nearly
free), activations, pooling, additions and the decoder are not. Papers of pose networks count so.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from model.geometry import STRIDE
from model.network.branches import MultiBranch


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
        target = torch.empty(1, K, h, w, device="meta")
        scheme(maps, target, torch.empty(1, K, device="meta"), 1.0, target)

    return _counted(nn.ModuleList([network, scheme]), answer)


def _crop(crop_px: tuple[int, int]) -> Tensor:
    return torch.empty(1, 3, *crop_px, device="meta")


def _counted(module: nn.Module, answer: Callable[[nn.Module], object]) -> Cost:
    """Counted by shapes alone, on the device that holds no numbers: any size takes no time."""
    # In eval mode, since batch normalisation refuses to learn from one crop's smallest map.
    shapes = copy.deepcopy(module).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        answer(shapes)
    return Cost(
        parameters=sum(p.numel() for p in module.parameters()),
        macs=counter.get_total_flops() // 2,
    )
