"""The Feature Aggregation Unit: weights over branches for every person and joint."""

import pytest
import torch
from torch import Tensor

from model.config import FauConfig
from model.network import FeatureAggregation


def features(count: int = 2, width: int = 8) -> Tensor:
    return torch.randn(count, width, 12, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("fields", ["kernel", "dilation"])
@pytest.mark.parametrize("transforms", [1, 3, 4])
@pytest.mark.parametrize("branches", [1, 2, 3, 5])
def test_the_weights_sum_to_one_over_the_branches(fields: str, transforms: int, branches: int):
    """For every person and joint; M and B are independent."""
    fau = FeatureAggregation(
        FauConfig(fields=fields, transforms=transforms, hidden=6), 8, branches, joints=5
    )

    weights = fau(features())

    assert weights.shape == (2, branches, 5)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 5))


def test_receptive_fields_grow_by_kernel_as_published():
    """3×3, 5×5, 7×7, each with batch normalisation and ReLU; 64 numbers; a head a branch."""
    fau = FeatureAggregation(FauConfig(), 256, branches=3, joints=16)

    assert [tuple(t[0].weight.shape) for t in fau.transforms] == [
        (256, 256, 3, 3),
        (256, 256, 5, 5),
        (256, 256, 7, 7),
    ]
    assert tuple(fau.squeeze.weight.shape) == (64, 256)
    assert [tuple(head.weight.shape) for head in fau.heads] == [(16, 64)] * 3


def test_receptive_fields_grow_by_dilation_where_asked():
    """The cheaper form: 3×3 with dilation 1, 2, 3."""
    fau = FeatureAggregation(FauConfig(fields="dilation"), 8, branches=2, joints=5)

    assert [t[0].kernel_size for t in fau.transforms] == [(3, 3)] * 3
    assert [t[0].dilation for t in fau.transforms] == [(1, 1), (2, 2), (3, 3)]


@pytest.mark.parametrize("fields", ["kernel", "dilation"])
def test_a_stride_looks_at_every_second_cell(fields: str):
    """Of each transformation's answers those at even places, and the mean over them."""
    every, second = (
        FeatureAggregation(FauConfig(fields=fields, stride=s), 8, branches=2, joints=5).eval()
        for s in (1, 2)
    )
    second.load_state_dict(every.state_dict())

    for full, half in zip(every.transforms, second.transforms, strict=True):
        torch.testing.assert_close(half(features()), full(features())[..., ::2, ::2])
    assert second(features()).shape == (2, 2, 5)


def test_a_weight_may_be_shared_by_all_joints():
    """One number a branch and person, and heads as small as that."""
    fau = FeatureAggregation(FauConfig(weights="shared", hidden=6), 8, branches=3, joints=5)

    weights = fau(features())

    assert [tuple(head.weight.shape) for head in fau.heads] == [(1, 6)] * 3
    assert weights.shape == (2, 3, 5)
    assert torch.equal(weights, weights[..., :1].expand(2, 3, 5))
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 5))


def test_each_person_gets_weights_of_their_own():
    """They come out of the person's features, not out of a table."""
    fau = FeatureAggregation(FauConfig(), 8, branches=2, joints=5).eval()

    weights = fau(features())

    assert not torch.allclose(weights[0], weights[1])
    torch.testing.assert_close(fau(features()[:1]), weights[:1])


def test_all_of_it_learns():
    """Every transform and every head; a constant added to all heads is the one free choice."""
    fau = FeatureAggregation(FauConfig(), 8, branches=3, joints=5)

    fau(features())[:, 0].sum().backward()

    assert all(p.grad is not None and p.grad.any() for p in fau.heads.parameters())
    assert all(t[0].weight.grad.any() for t in fau.transforms)


def test_the_weights_are_exact_under_mixed_precision():
    """In bfloat16 they would sum to 1 within a hundredth only."""
    fau = FeatureAggregation(FauConfig(), 8, branches=3, joints=5)

    with torch.autocast("cpu", torch.bfloat16):
        weights = fau(features())

    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 5))
