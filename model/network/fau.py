"""The Feature Aggregation Unit (OKDHP, ICCV 2021, section 3.2): who is right about which joint."""

import torch
from torch import Tensor, nn

from model.config import FauConfig
from model.network.hourglass import conv_bn_relu


class FeatureAggregation(nn.Module):
    """Weights over branches, for every person and joint, out of the stem's features.

    The published index picks other maps than the branches' last ones at four stacks; here the
    heads stand one a branch, and the caller hands over the last maps by name. With
    `weights: shared` a head says one number for all joints. Of the transformations only the mean
    over cells is looked at, and they cost as much as several stacks: `stride: 2` takes that mean
    over every second cell in both directions.
    """

    def __init__(self, config: FauConfig, width: int, branches: int, joints: int) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(
            conv_bn_relu(width, width, 3 + 2 * m, stride=config.stride, padding=1 + m)
            if config.fields == "kernel"
            else conv_bn_relu(width, width, 3, stride=config.stride, padding=1 + m, dilation=1 + m)
            for m in range(config.transforms)
        )
        self.squeeze = nn.Linear(width, config.hidden)
        self.joints = joints
        numbers = joints if config.weights == "joint" else 1
        self.heads = nn.ModuleList(nn.Linear(config.hidden, numbers) for _ in range(branches))

    def forward(self, features: Tensor) -> Tensor:
        """features `[N, F, h, w]` to weights float32 `[N, B, K]` that sum to 1 over B."""
        seen = [transform(features) for transform in self.transforms]  # M of N F h w
        # `mean` would hand its gradient down channels-first, over which the ReLUs, channels-last,
        # take thirty times as long: 4 % of a step on a CPU. That of `sum` has no layout.
        total = torch.stack([each.sum((-2, -1)) for each in seen]).sum(0)
        vector = self.squeeze(total / seen[0][0, 0].numel())  # N hidden
        logits = torch.stack([head(vector) for head in self.heads], dim=1)  # N B K, or N B 1
        return logits.float().softmax(dim=1).expand(-1, -1, self.joints)
