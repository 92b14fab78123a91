"""The parts of a stacked hourglass (Newell 2016, arXiv:1603.06937, section 3)."""

from collections.abc import Callable, Mapping
from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn_relu(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> nn.Sequential:
    """A convolution with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """A body added to its input, which a 1×1 convolution takes to another width where need be."""

    def __init__(self, inputs: int, outputs: int, body: nn.Sequential) -> None:
        super().__init__()
        self.body = body
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.body(x)
        return out


class Bottleneck(Residual):
    """Pre-activation: 1×1, 3×3, 1×1, each after BN and ReLU; half the width inside."""

    def __init__(self, inputs: int, outputs: int) -> None:
        inner = outputs // 2
        body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),  # not in place: the shortcut needs x
            nn.Conv2d(inputs, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, outputs, 1),
        )
        super().__init__(inputs, outputs, body)


class Separable(Residual):
    """Pre-activation: depthwise 3×3, 1×1 (MobileNets, arXiv:1704.04861), each after BN and ReLU.

    W² + 9·W multiplications a cell where a bottleneck has 3.25·W². Twice in a row, or inside a
    bottleneck, it was no better at equal latency (docs/presets.md).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, outputs, 1),
        )
        super().__init__(inputs, outputs, body)


Block = Callable[[int, int], Residual]
"""Makes a residual from (inputs, outputs)."""

BLOCKS: Final[Mapping[str, Block]] = {"bottleneck": Bottleneck, "separable": Separable}


class Hourglass(nn.Module):
    """Down `depth` times and up again, with a residual on every level's bypass."""

    def __init__(self, depth: int, width: int, block: Block) -> None:
        super().__init__()
        self.bypass = block(width, width)
        self.down = block(width, width)
        self.inner = Hourglass(depth - 1, width, block) if depth > 1 else block(width, width)
        self.up = block(width, width)

    def forward(self, x: Tensor) -> Tensor:
        low = self.up(self.inner(self.down(F.max_pool2d(x, 2))))
        up: Tensor = self.bypass(x) + F.interpolate(low, scale_factor=2, mode="nearest")
        return up


class Stem(nn.Module):
    """An RGB crop of values 0…255, `[N, 3, H, W]`, to features `[N, F, H/4, W/4]`."""

    def __init__(self, width: int, block: Block) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn_relu(3, width // 4, 7, stride=2, padding=3),
            block(width // 4, width // 2),
            nn.MaxPool2d(2),
            block(width // 2, width // 2),
            block(width // 2, width),
        )

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.body(image / 127.5 - 1)
        return features


class Stack(nn.Module):
    """An hourglass, its features Y and its map Z; `merge` feeds both to the next stack."""

    def __init__(self, width: int, *, depth: int, joints: int, block: Block, last: bool) -> None:
        super().__init__()
        self.hourglass = Hourglass(depth, width, block)
        self.features = nn.Sequential(block(width, width), conv_bn_relu(width, width, 1))
        self.score = nn.Conv2d(width, joints, 1)
        self.merge_features = None if last else nn.Conv2d(width, width, 1)
        self.merge_score = None if last else nn.Conv2d(joints, width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x `[N, W, h, w]` to (what the next stack takes, features Y, map Z `[N, K, h, w]`)."""
        y = self.features(self.hourglass(x))
        z: Tensor = self.score(y)
        if self.merge_features is None or self.merge_score is None:
            return x, y, z
        return x + self.merge_features(y) + self.merge_score(z), y, z
