"""The averaged twin that is judged and exported."""

import torch
from torch import nn

from model.training.state.ema import Average


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_it_starts_as_a_copy_that_is_never_trained():
    """In evaluation mode, without gradients, and without sharing memory."""
    ours = net()
    twin = Average(ours, 0.9).module

    with torch.no_grad():
        ours[0].weight += 1

    assert not torch.equal(twin[0].weight, ours[0].weight)
    assert not any(p.requires_grad for p in twin.parameters())
    assert not twin.training


def test_an_update_goes_a_share_of_the_way():
    """average ← d · average + (1 − d) · weights, after warm-up."""
    ours = net()
    average = Average(ours, decay=0.9)
    before = ours[0].weight.detach().clone()
    with torch.no_grad():
        ours[0].weight += 1

    average.update(ours, updates=10_000)

    torch.testing.assert_close(average.module[0].weight, before + 0.1)


def test_early_updates_forget_the_random_start():
    """The decay is (1 + n)/(10 + n) while that is less."""
    ours = net()
    average = Average(ours, decay=0.999)
    before = ours[0].weight.detach().clone()
    with torch.no_grad():
        ours[0].weight += 1

    average.update(ours, updates=1)

    torch.testing.assert_close(average.module[0].weight, before + 1 - 2 / 11)


def test_statistics_are_averaged_and_counters_copied():
    """Batch normalisation's running mean belongs to the weights that it was seen with."""
    ours = net()
    average = Average(ours, decay=0.5)
    ours.train()(torch.randn(8, 2, generator=torch.Generator().manual_seed(1)))

    average.update(ours, updates=10_000)

    torch.testing.assert_close(average.module[1].running_mean, ours[1].running_mean / 2)
    assert average.module[1].num_batches_tracked == 1
