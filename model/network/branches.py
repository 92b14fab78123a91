"""Several students on one stem (OKDHP, ICCV 2021, section 3.1), and one of them cut out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn

from model.config import NetworkConfig
from model.network.hourglass import BLOCKS, Stack, Stem


@dataclass(frozen=True)
class BranchMaps:
    """What the network says: a map for every branch and stack, by name of axis.

    branches: B tensors `[S_b, N, K, h, w]`, the stacks of each branch in order.
    shared: `[S_0, N, K, h, w]`, maps of the stacks that all branches share; S_0 may be 0.
    features: `[N, F, h, w]`, the stem's, which the FAU looks at.
    branch_features: B tensors `[N, W_b, h, w]`, what each branch's last map is read from.
    """

    branches: tuple[Tensor, ...]
    shared: Tensor
    features: Tensor
    branch_features: tuple[Tensor, ...]

    @property
    def last(self) -> Tensor:
        """`[B, N, K, h, w]`: from every branch its last map."""
        return torch.stack([maps[-1] for maps in self.branches])

    @property
    def every(self) -> Tensor:
        """`[S, N, K, h, w]`: every map of the network once, for losses."""
        return torch.cat([self.shared, *self.branches])


class MultiBranch(nn.Module):
    """Stem, optional shared stacks, and B branches of S_b stacks each."""

    def __init__(self, config: NetworkConfig, joints: int) -> None:
        super().__init__()
        self.names = config.branch_names
        block = BLOCKS[config.block]
        stack = partial(Stack, depth=config.depth, joints=joints, block=block)
        self.stem = Stem(config.width, block)
        self.shared = nn.ModuleList(
            # never `last`: a branch always follows
            stack(config.width, last=False)
            for _ in range(config.shared_stacks)
        )
        self.branches = nn.ModuleList(
            Branch(config.width, branch.width or config.width, branch.stacks, stack)
            for branch in config.branches
        )

    def forward(self, image: Tensor) -> BranchMaps:
        """image: RGB `[N, 3, H, W]`, uint8 or float, values 0…255."""
        features = self.stem(image)
        x, _, shared = _through(self.shared, features)
        answers = [branch(x) for branch in self.branches]
        branches = tuple(torch.stack(maps) for _, maps in answers)
        return BranchMaps(
            branches=branches,
            shared=torch.stack(shared) if shared else branches[0][:0],
            features=features,
            branch_features=tuple(read for read, _ in answers),
        )

    def cut(self, branch: int) -> "Student":
        """One branch with what it stands on; shares the weights."""
        return Student(self.stem, self.shared, self.branches[branch])

    @classmethod
    def build(cls, config: NetworkConfig, joints: int, seed: int) -> Self:
        """A fresh network whose weights depend on the seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config, joints)


class Branch(nn.Module):
    """S stacks of one width; another width than the stem's is entered by a 1×1 convolution."""

    def __init__(self, inputs: int, width: int, stacks: int, stack: Callable[..., Stack]) -> None:
        """stack: makes one from (width, last=…)."""
        super().__init__()
        self.enter = nn.Identity() if inputs == width else nn.Conv2d(inputs, width, 1)
        self.stacks = nn.ModuleList(stack(width, last=s == stacks - 1) for s in range(stacks))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """x `[N, F, h, w]` to the last features `[N, W, h, w]` and S maps `[N, K, h, w]`."""
        _, y, maps = _through(self.stacks, self.enter(x))
        return y, maps


class Student(nn.Module):
    """What is deployed: stem, shared stacks and one branch; costs what a student costs."""

    def __init__(self, stem: nn.Module, shared: nn.ModuleList, branch: nn.Module) -> None:
        super().__init__()
        self.stem, self.shared, self.branch = stem, shared, branch

    def forward(self, image: Tensor) -> Tensor:
        """image `[N, 3, H, W]` of 0…255 to the branch's last map `[N, K, h, w]`."""
        x, _, _ = _through(self.shared, self.stem(image))
        maps: list[Tensor] = self.branch(x)[1]
        return maps[-1]


def _through(stacks: nn.ModuleList, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """What the next stack takes, the last stack's features, and every stack's map."""
    y, maps = x, []
    for stack in stacks:
        x, y, z = stack(x)
        maps.append(z)
    return x, y, maps
