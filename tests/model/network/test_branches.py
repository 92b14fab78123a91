"""The multi-branch network: its shapes, its structure, and a branch cut out of it."""

import pytest
import torch
from torch import Tensor

from model.config import BranchConfig, NetworkConfig, load_config
from model.network import BranchMaps, MultiBranch
from model.network.cost import student_cost
from model.network.hourglass import Separable
from model.skeletons import MPII16


def pictures(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


def config(*stacks: int, widths: tuple[int | None, ...] = (), **how: object) -> NetworkConfig:
    widths = widths or (None,) * len(stacks)
    branches = tuple(BranchConfig(stacks=s, width=w) for s, w in zip(stacks, widths, strict=True))
    return NetworkConfig.model_validate({"width": 8, "depth": 2, "branches": branches} | how)


NETWORKS = {
    "one": config(1),
    "two": config(2, 2),
    "four": config(4, 4, 4),
    "unbalanced": config(1, 3, 2),
    "widths": config(1, 2, widths=(12, None)),
    "shared": config(1, 2, shared_stacks=2),
    "eight": config(*[1] * 8),
    "separable": config(1, 2, widths=(12, None), shared_stacks=1, block="separable"),
}
EACH = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())


def build(network: NetworkConfig, joints: int = 5) -> MultiBranch:
    return MultiBranch.build(network, joints, seed=0).eval()


@EACH
@pytest.mark.parametrize(("joints", "height", "width"), [(1, 32, 48), (17, 64, 32), (21, 16, 16)])
@torch.no_grad()
def test_every_branch_and_stack_has_a_map_by_name_of_axis(
    network: NetworkConfig, joints: int, height: int, width: int
):
    """Any K, any size that the strides allow, any batch; no index is ever computed."""
    maps = build(network, joints)(pictures(2, height, width))

    h, w = height // 4, width // 4
    stacks = [branch.stacks for branch in network.branches]
    assert [tuple(z.shape) for z in maps.branches] == [(s, 2, joints, h, w) for s in stacks]
    assert maps.shared.shape == (network.shared_stacks, 2, joints, h, w)
    assert maps.features.shape == (2, network.width, h, w)
    assert maps.last.shape == (len(stacks), 2, joints, h, w)
    assert maps.every.shape == (network.shared_stacks + sum(stacks), 2, joints, h, w)


def test_the_last_maps_are_the_branches_last():
    """What the published index misses at four stacks."""
    z = torch.arange(7.0).view(7, 1, 1, 1, 1)
    maps = BranchMaps((z[:4], z[4:5], z[5:]), z[:0], torch.zeros(1, 8, 1, 1), ())

    assert maps.last.flatten().tolist() == [3, 4, 6]
    assert maps.every.flatten().tolist() == [0, 1, 2, 3, 4, 5, 6]


@EACH
@torch.no_grad()
def test_a_branch_cut_out_is_that_branch_within_the_whole(network: NetworkConfig):
    """What is deployed is what was trained, to the bit."""
    whole = build(network)
    image = pictures(3, 64, 32)

    last = whole(image).last
    for b in range(len(network.branches)):
        assert torch.equal(whole.cut(b).eval()(image), last[b])


def test_a_student_costs_what_a_student_costs():
    """Nothing of the other branches hangs on it."""
    whole = build(config(1, 4, widths=(None, 16)))

    small, large = (sum(p.numel() for p in whole.cut(b).parameters()) for b in (0, 1))

    alone = build(config(1))
    assert small == sum(p.numel() for p in alone.parameters())
    assert small < large < sum(p.numel() for p in whole.parameters())


@pytest.mark.parametrize("width", [32, 64, 96, 256])
def test_separable_blocks_are_cheaper_at_every_width(width: int):
    """Below six tenths of the multiplications, and of the parameters: what they are for."""
    costs = []
    for block in ("bottleneck", "separable"):
        net = MultiBranch(config(2, width=width, depth=4, block=block), 16)
        costs.append(student_cost(net, 0, (128, 128)))

    bottleneck, separable = costs
    assert separable.macs < 0.6 * bottleneck.macs
    assert separable.parameters < 0.6 * bottleneck.parameters


def test_a_separable_block_mixes_neighbours_by_channel_and_channels_by_cell():
    """The 3×3 convolution sees one channel each; the 1×1 is the only one that joins them."""
    block = Separable(8, 12)

    kernels = [m.weight.shape for m in block.body if isinstance(m, torch.nn.Conv2d)]
    assert kernels == [(8, 1, 3, 3), (12, 8, 1, 1)]
    assert block(torch.zeros(2, 8, 4, 4)).shape == (2, 12, 4, 4)


@EACH
@torch.no_grad()
def test_a_picture_is_judged_alone(network: NetworkConfig):
    """A batch of one gives what it gives among others."""
    net, image = build(network), pictures(3, 32, 32)

    together, alone = net(image), net(image[1:2])

    torch.testing.assert_close(alone.every, together.every[:, 1:2], atol=1e-5, rtol=1e-5)


def test_a_batch_of_one_can_be_trained_on():
    """No `squeeze()` that loses the axis of the batch."""
    net = build(config(2, 1)).train()

    maps = net(pictures(1, 64, 32))
    maps.every.square().mean().backward()

    assert maps.every.shape[1] == 1
    assert all(p.grad is not None for p in net.stem.parameters())


def test_the_last_stack_learns_through_all_before_it():
    """X ← X + 1×1(Y) + 1×1(Z): features and map of each stack reach the next."""
    net = build(config(3, shared_stacks=1)).train()

    net(pictures(2, 32, 32)).branches[0][-1].square().mean().backward()

    silent = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    # a bias before batch normalisation is the one thing that cannot matter
    assert [name for name in silent if not name.endswith("bias")] == []


def test_a_stack_does_not_learn_from_those_after_it_alone():
    """The first branch's loss leaves the second untouched: they share what is shared only."""
    net = build(config(2, 2, shared_stacks=1)).train()

    net(pictures(2, 32, 32)).branches[0].square().mean().backward()

    assert all(p.grad is None for p in net.branches[1].parameters())
    assert all(p.grad is not None for p in net.shared.parameters())


def test_merging_stands_only_between_stacks():
    """After a branch's last stack nothing follows: those weights would never learn."""
    net = build(config(3, shared_stacks=2))

    assert [stack.merge_score is None for stack in net.branches[0].stacks] == [False, False, True]
    assert [stack.merge_score is None for stack in net.shared] == [False, False]


def test_weights_depend_on_the_seed_alone():
    """Two runs of one seed start alike, whatever was drawn before; and the caller's state stays."""
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = MultiBranch.build(config(2), 5, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(7)
    second, other = (MultiBranch.build(config(2), 5, seed=seed) for seed in (1, 2))

    def flat(net: MultiBranch) -> Tensor:
        return torch.cat([p.flatten() for p in net.parameters()])

    assert torch.equal(flat(first), flat(second))
    assert not torch.equal(flat(first), flat(other))


def test_bytes_and_floats_of_one_picture_are_alike():
    """Training hands over floats, a photograph is bytes."""
    net, image = build(config(1)), pictures(2, 32, 32)

    with torch.no_grad():
        assert torch.equal(net(image).last, net(image.float()).last)


@torch.no_grad()
def test_the_papers_network_is_the_published_one():
    """3 branches of 4 stacks of 256 channels; a forward pass at a quarter of its size."""
    sources = [{"format": "synthetic"}]
    config = load_config(
        {
            "preset": "paper-mpii",
            "data": {"crop_px": [64, 128], "train": sources, "valid": sources},
        }
    )
    net = MultiBranch.build(config.network, len(MPII16), seed=0).eval()

    maps = net(pictures(1, 64, 128))

    assert [tuple(z.shape) for z in maps.branches] == [(4, 1, 16, 16, 32)] * 3
    shapes = {name: tuple(p.shape) for name, p in net.named_parameters()}
    assert shapes["stem.body.0.0.weight"] == (64, 3, 7, 7)
    for b in range(3):
        for s in range(4):
            stack = f"branches.{b}.stacks.{s}"
            assert shapes[f"{stack}.score.weight"] == (16, 256, 1, 1)
            assert shapes[f"{stack}.features.1.0.weight"] == (256, 256, 1, 1)
            # four levels down: bottlenecks of 256 → 128 → 128 → 256
            assert shapes[f"{stack}.hourglass.inner.inner.inner.down.body.5.weight"] == (
                128, 128, 3, 3,
            )  # fmt: skip
            assert (f"{stack}.merge_score.weight" in shapes) is (s < 3)
    assert not any("enter" in name for name in shapes)
