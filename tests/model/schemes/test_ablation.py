"""The rows of the ablation: accepted, OKDHP to the letter first, then one option at a time."""

from pathlib import Path
from typing import Any

import pytest

from model.config import load_config, read_config
from model.config.load import laid, unfolded

ROWS = read_config(Path(__file__).parents[3] / "benchmarks" / "ablation.yaml")
ONE_OPTION = {
    "dilation": "scheme.fau.fields",
    "stride": "scheme.fau.stride",
    "shared-weights": "scheme.fau.weights",
    "detached": "scheme.detach",
    "by-fit": "scheme.weigh_by_fit",
    "average-teacher": "scheme.average_teacher",
    "cold": "scheme.temperature",
    "per-joint": "scheme.kl_mean",
    "ce": "target.term",
}
DATA = {"train": [{"format": "synthetic"}], "valid": [{"format": "synthetic", "seed": 1}]}


def resolved(row: str, preset: str = "tiny") -> dict[str, Any]:
    base = unfolded({"preset": preset, "data": DATA})
    return load_config(laid(base, ROWS[row])).model_dump(mode="json")


def leaves(tree: dict[str, Any], path: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in tree.items():
        below = leaves(value, f"{path}{key}.") if isinstance(value, dict) else {path + key: value}
        out |= below
    return out


@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_a_configuration(row: str):
    """A row that is refused would be found after the hours of those before it."""
    assert resolved(row)["scheme"]["name"] == ROWS[row]["scheme"]["name"]


def test_the_first_row_is_okdhp_to_the_letter():
    """As the preset of the paper has it, on whatever preset it is laid."""
    paper = load_config({"preset": "paper-mpii", "data": DATA}).model_dump(mode="json")
    expected = paper["scheme"] | {"ramp_epochs": None}

    assert next(iter(ROWS)) == "literal"
    assert resolved("literal")["scheme"] == expected
    assert resolved("literal")["target"]["term"] == paper["target"]["term"]


@pytest.mark.parametrize(("row", "option"), ONE_OPTION.items())
def test_a_row_changes_one_option_of_it(row: str, option: str):
    """Or its difference would be nobody's."""
    literal, found = leaves(resolved("literal")), leaves(resolved(row))

    assert [key for key in found if found[key] != literal[key]] == [option]


def test_the_mean_differs_from_it_by_the_fau_alone():
    """The paper's own ablation."""
    literal, mean = resolved("literal")["scheme"], resolved("mean")["scheme"]

    del literal["fau"]
    assert mean == literal | {"name": "mean"}
