"""The presets that ship: published values where they are published, costs within their promise."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from model.config import Config, load_config, preset_names
from model.network import MultiBranch
from model.network.cost import Cost, student_cost
from model.skeletons import SKELETONS

SOURCES = {"train": [{"format": "synthetic"}], "valid": [{"format": "synthetic", "seed": 1}]}
PAPER = [name for name in preset_names() if name.startswith("paper-")]
LIGHT = [name for name in preset_names() if name.startswith("light-")]


def preset(name: str) -> Config:
    return load_config({"preset": name, "data": SOURCES})


def network_of(config: Config) -> MultiBranch:
    """Its shapes, without numbers."""
    with torch.device("meta"):
        return MultiBranch(config.network, len(SKELETONS[config.data.skeleton]))


def parameters(name: str) -> list[int]:
    """Of every branch as deployed."""
    network = network_of(preset(name))
    return [
        sum(p.numel() for p in network.cut(branch).parameters())
        for branch in range(len(network.names))
    ]


def largest(config: Config) -> Cost:
    """Of the last branch, which has most stacks or channels in every light preset."""
    return student_cost(network_of(config), len(config.network.branches) - 1, config.data.crop_px)


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_recipes_are_the_published_one(name: str):
    """Loss, FAU, optimiser, schedule and length are the same for all (DESIGN.md, section 2)."""
    config, of_mpii = preset(name), preset("paper-mpii")

    assert config.scheme == of_mpii.scheme
    assert config.optim == of_mpii.optim
    assert config.training == of_mpii.training
    assert (config.network.width, len(config.network.branches)) == (256, 3)
    assert (config.evaluation.decoder, config.evaluation.flip_test) == ("quarter", True)
    assert config.data.padding == 0.125
    assert (config.augment.colour, config.augment.half_body) == (0, 0)


@pytest.mark.parametrize("name", [name for name in PAPER if "coco" in name])
def test_coco_is_turned_and_zoomed_more_and_judged_by_its_ap(name: str):
    """± 40° and ± 30 %; the Gaussian grows with the crop, as the HRNet line draws it."""
    config = preset(name)

    assert config.data.skeleton == "coco17"
    assert (config.augment.rotation_deg, config.augment.scale) == (40, 0.3)
    assert config.evaluation.metric == "AP"
    sigma = {(256, 192): 2, (384, 288): 3}[config.data.crop_px]
    assert config.target.sigma_cells == sigma


@pytest.mark.parametrize(
    ("suffix", "shared", "own"),
    [
        ("", 0, [4, 4, 4]),
        ("-8", 0, [8, 8, 8]),
        ("-shared", 2, [2, 2, 2]),
        ("-unbalanced", 2, [2, 4, 6]),
    ],
)
@pytest.mark.parametrize("of", ["mpii", "coco"])
def test_students_have_the_published_stacks(of: str, suffix: str, shared: int, own: list[int]):
    """Half of a student's stacks are shared where any are; the unbalanced ones have 4, 6 and 8."""
    network = preset(f"paper-{of}{suffix}").network

    assert network.shared_stacks == shared
    assert [branch.stacks for branch in network.branches] == own


def test_students_of_eight_stacks_share_four():
    """The half of them, again."""
    network = preset("paper-mpii-8-shared").network

    assert (network.shared_stacks, [b.stacks for b in network.branches]) == (4, [4, 4, 4])


def test_the_papers_students_cost_what_hourglasses_are_known_to():
    """About 13 and 25 million parameters for 4 and 8 stacks, whatever is shared in training."""
    four, eight = parameters("paper-mpii")[0], parameters("paper-mpii-8")[0]

    assert parameters("paper-mpii-shared") == [four] * 3
    assert parameters("paper-mpii-8-shared") == [eight] * 3
    student, middle, large = parameters("paper-mpii-unbalanced")
    assert (student, large) == (four, eight)
    assert four < middle < eight
    assert four == pytest.approx(12.9e6, rel=0.02)
    assert eight == pytest.approx(25.4e6, rel=0.02)


@pytest.mark.parametrize("name", LIGHT)
def test_light_students_are_light(name: str):
    """Below a million parameters and a billion multiplications, and with the better recipe."""
    config = preset(name)

    cost = largest(config)
    assert max(parameters(name)) == cost.parameters < 1e6
    assert cost.gmacs < 0.7
    assert 32 <= config.network.width <= 96
    assert all(128 <= side <= 192 for side in config.data.crop_px)
    assert (config.target.term, config.scheme.detach) == ("ce", True)
    assert config.training.ema_decay > 0
    assert config.optim.schedule == "cosine"


@pytest.mark.parametrize("name", [name for name in LIGHT if name.endswith("-separable")])
def test_separable_presets_are_their_counterparts_with_other_blocks(name: str):
    """So that comparing the two says what the blocks do, and nothing else."""
    separable = preset(name)
    bottleneck = preset(name.removesuffix("-separable"))

    tree = separable.model_dump(mode="json")
    tree["network"]["block"] = "bottleneck"
    assert load_config(tree) == bottleneck
    assert largest(separable).macs < largest(bottleneck).macs


def test_the_page_tells_what_the_presets_cost():
    """`python docs/presets.py` was run last: all are there, and what is counted anew agrees."""
    page = script("presets")
    text = page.PAGE.read_text("utf-8")

    assert [name for name in preset_names() if f"| `{name}` |" not in text] == []
    for name in ("tiny", "light-widths-160", "light-32-128-separable"):
        assert page.lines(name) in text


def script(name: str) -> ModuleType:
    """A file of docs/, which is no package."""
    path = Path(__file__).parents[2] / "docs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"docs_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
