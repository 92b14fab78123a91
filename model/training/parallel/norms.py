"""Batch normalisation over the people of all processes of a group."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _Summed(torch.autograd.Function):
    """The sum over processes; what depends on it in any process is in the gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """As one process would normalise all processes' people; torch's own refuses CPU tensors."""

    def forward(self, x: Tensor) -> Tensor:
        """x `[N, C, h, w]`, N of this process."""
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        values = x if x.dtype == torch.float64 else x.float()
        mean, var, count = _joint(values)
        with torch.no_grad():
            self.num_batches_tracked += 1
            unbiased = var * count / (count - 1)
            for running, now in ((self.running_mean, mean), (self.running_var, unbiased)):
                running.lerp_(now.to(running.dtype), self.momentum)
        scale = self.weight * torch.rsqrt(var + self.eps).to(values.dtype)
        apart = values - mean.to(values.dtype)[:, None, None]
        return (apart * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def _joint(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance `[C]` of all processes' values, and how many there are of a channel.

    Put together from each process's own: a sum of squares would cancel where a channel's mean is
    far from zero (Chan 1983). In float64, as torch's own does it on the CPU.
    """
    N, C, h, w = values.shape
    size, axes = N * h * w, (0, 2, 3)
    mean = values.sum(axes, dtype=torch.float64) / size
    apart = values - mean.to(values.dtype)[:, None, None]
    var = apart.square().sum(axes, dtype=torch.float64) / size
    own = torch.cat([mean, var, mean.new_tensor([size])])
    rank, ranks = dist.get_rank(), range(dist.get_world_size())
    rows = torch.stack([own if r == rank else torch.zeros_like(own) for r in ranks])
    everybodys: Tensor = _Summed.apply(rows)  # type: ignore[no-untyped-call]
    means, variances, counts = everybodys.split([C, C, 1], dim=1)
    count = counts.sum()
    share = counts / count
    joint = (share * means).sum(0)
    return joint, (share * (variances + (means - joint).square())).sum(0), count


def share_norms(module: nn.Module) -> None:
    """Let every batch normalisation in a module look at all processes' people.

    Parameters, buffers and their names stay what they are. On CUDA it is torch's own, one kernel.
    """
    if any(parameter.is_cuda for parameter in module.parameters()):
        nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, _shared(child))
        else:
            share_norms(child)


def _shared(norm: nn.BatchNorm2d) -> SharedBatchNorm2d:
    shared = SharedBatchNorm2d(norm.num_features, norm.eps, norm.momentum)
    shared.weight, shared.bias = norm.weight, norm.bias
    for name, buffer in norm.named_buffers():
        setattr(shared, name, buffer)
    return shared
