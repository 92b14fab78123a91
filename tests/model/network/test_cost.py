"""Parameters and multiply-accumulates, against counts that were done by hand."""

import pytest

from model.config import NetworkConfig, load_config
from model.network import MultiBranch
from model.network.cost import Cost, learner_cost, student_cost
from model.schemes import SCHEMES, build_scheme

JOINTS = 5
CROP = (32, 16)  # maps of 8 × 4


def residual(inputs: int, outputs: int, cells: int) -> Cost:
    """BN, 1×1, BN, 3×3, BN, 1×1 with a bias, and a 1×1 with a bias where the width changes."""
    half = outputs // 2
    weights = inputs * half + 9 * half * half + half * outputs
    others = 2 * inputs + 2 * half + 2 * half + outputs
    if inputs != outputs:
        weights, others = weights + inputs * outputs, others + outputs
    return Cost(weights + others, weights * cells)


def conv(inputs: int, outputs: int, kernel: int, cells: int, others: int) -> Cost:
    """others: what it has beside its weights: a bias, or the scale and shift of BN."""
    weights = kernel * kernel * inputs * outputs
    return Cost(weights + others, weights * cells)


def total(*parts: Cost) -> Cost:
    return Cost(sum(p.parameters for p in parts), sum(p.macs for p in parts))


STEM = total(
    conv(3, 2, 7, 128, others=4),  # 16 × 8 after stride 2
    residual(2, 4, 128),
    residual(4, 4, 32),  # 8 × 4 after pooling
    residual(4, 8, 32),
)


def stack(width: int, *, last: bool) -> Cost:
    """An hourglass of depth 1 (8 × 4 and 4 × 2 cells), its features, map, and way on."""
    parts = [
        residual(width, width, 32),  # bypass
        residual(width, width, 8),  # down
        residual(width, width, 8),  # inner
        residual(width, width, 8),  # up
        residual(width, width, 32),
        conv(width, width, 1, 32, others=2 * width),
        conv(width, JOINTS, 1, 32, others=JOINTS),
    ]
    if not last:
        parts.append(conv(width, width, 1, 32, others=width))
        parts.append(conv(JOINTS, width, 1, 32, others=width))
    return total(*parts)


def build(**network: object) -> MultiBranch:
    config = NetworkConfig.model_validate({"width": 8, "depth": 1} | network)
    return MultiBranch.build(config, JOINTS, seed=0)


def test_a_student_costs_what_a_count_by_hand_says() -> None:
    """Stem, one shared stack and a branch of another width: whatever is deployed, and no more."""
    network = build(shared_stacks=1, branches=[{"stacks": 2, "width": 12}, {"stacks": 4}])

    expected = total(
        STEM,
        stack(8, last=False),
        conv(8, 12, 1, 32, others=12),  # into the branch's width
        stack(12, last=False),
        stack(12, last=True),
    )
    assert student_cost(network, 0, CROP) == expected


def test_the_whole_counts_the_stem_once_and_the_scheme() -> None:
    """With okdhp the FAU: M transformations of the stem's features, and the linear layers."""
    branches = [{"stacks": 1}, {"stacks": 2}]
    config = load_config(
        {
            "data": {"train": [{"format": "synthetic"}], "valid": [{"format": "synthetic"}]},
            "network": {"width": 8, "depth": 1, "branches": branches},
            "scheme": {"name": "okdhp", "fau": {"transforms": 2, "hidden": 6}},
        }
    )

    found = learner_cost(
        MultiBranch.build(config.network, JOINTS, seed=0), build_scheme(config, JOINTS), CROP
    )

    assert found == total(
        STEM,
        stack(8, last=True),
        stack(8, last=False),
        stack(8, last=True),
        conv(8, 8, 3, 32, others=16),
        conv(8, 8, 5, 32, others=16),
        conv(8, 6, 1, 1, others=6),  # a linear layer is a convolution of one cell
        conv(6, JOINTS, 1, 1, others=JOINTS),
        conv(6, JOINTS, 1, 1, others=JOINTS),
    )


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_s_whole_can_be_counted(name: str) -> None:
    """By shapes alone: a loss that looks at numbers would fail here."""
    options = {"teacher": "run"} if name == "fpd" else {}
    config = load_config(
        {
            "data": {"train": [{"format": "synthetic"}], "valid": [{"format": "synthetic"}]},
            "network": {"width": 8, "depth": 1, "branches": [{}, {}]},
            "scheme": {"name": name} | options,
        }
    )
    network = MultiBranch.build(config.network, JOINTS, seed=0)

    whole = learner_cost(network, build_scheme(config, JOINTS), CROP)

    assert whole.macs >= 2 * student_cost(network, 0, CROP).macs - STEM.macs


def test_counting_leaves_the_network_as_it_was() -> None:
    """It is counted while it trains."""
    network = build(branches=[{}]).train()

    student_cost(network, 0, CROP)

    assert network.training
    assert {p.device.type for p in network.parameters()} == {"cpu"}
