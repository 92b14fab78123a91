"""The comparison for people: Markdown and pictures."""

import copy
from typing import Any

import numpy as np
from PIL import Image

from model.comparison.pictures import bars, curves
from model.comparison.table import columns_of, markdown

SET = "synthetic of seed 3"


def test_the_markdown_tells_protocol_table_winner_and_how_to_read_it(gathered):
    """One page that can be shown as it is."""
    text = markdown(gathered)

    assert "Every run learnt from 400 people of synthetic of seed 1, for 6 epochs" in text
    assert "on 60 people of synthetic of seed 2, who are in no table" in text
    assert f"## pck@0.2 on 30 people of {SET}" in text
    assert "paired bootstrap over people and seeds" in text
    assert "Best on the people that choose" in text
    assert "Missing" not in text
    table = [row for row in text.splitlines() if row.startswith("|")]
    assert len(table) == 2 + len(gathered["lines"])
    assert len({row.count("|") for row in table}) == 1


def test_only_a_difference_that_leaves_zero_out_is_bold(gathered):
    """So that a glance takes nothing for a gain that is none."""
    found = copy.deepcopy(gathered)
    scores = found["lines"][-1]["sets"][SET]
    scores["to_alone"] = {"value": 2.04, "interval": [0.31, 3.77], "seeds": [0, 1]}
    scores["to_reference"] = {"value": -0.3, "interval": [-1.2, 0.6], "seeds": [0, 1]}

    columns = columns_of(found, SET)

    assert columns["to alone (95 %)"][-1] == "**+2.0 (+0.3 … +3.8)**"
    assert columns["to none (95 %)"][-1] == "-0.3 (-1.2 … +0.6)"
    assert columns["to alone (95 %)"][0] == "–"


def test_with_equal_time_the_epochs_are_shown(gathered):
    """They are what a slower way pays with."""
    found = copy.deepcopy(gathered)
    found["protocol"] |= {"budget": "device_time", "device_minutes": 2.5, "epochs": None}
    found["lines"][-1]["epochs"] = 7.5

    assert "epochs" not in columns_of(gathered, SET)
    assert columns_of(found, SET)["epochs"] == ["6"] * 5 + ["7.5"]
    assert "for 2.5 minutes of the device" in markdown(found)


def test_a_difference_of_one_seed_is_never_bold(gathered):
    """Half a comparison would tell of gains that the next seed takes back."""
    found = copy.deepcopy(gathered)
    scores = found["lines"][-1]["sets"][SET]
    scores["to_alone"] = {"value": 2.0, "interval": [0.3, 3.8], "seeds": [0]}

    assert columns_of(found, SET)["to alone (95 %)"][-1] == "+2.0 (+0.3 … +3.8)†"
    assert "† One seed is there" in markdown(found)
    assert "†" not in markdown(gathered)
    found["protocol"]["seeds"] = [0]  # then it is said once for all
    assert columns_of(found, SET)["to alone (95 %)"][-1] == "+2.0 (+0.3 … +3.8)"


def test_one_seed_is_called_what_it_is(gathered):
    """Its interval says nothing of other seeds."""
    found = copy.deepcopy(gathered)
    found["protocol"]["seeds"] = [0]

    assert "do not tell what another seed would do" in markdown(found)


def test_what_is_missing_is_listed(gathered):
    """With its reason, at the end of the page."""
    found = copy.deepcopy(gathered)
    found["cells"][0] = {"name": "none-s0", "missing": "NaN loss: at step 7"}

    assert markdown(found).endswith("## Missing: 1 of 8 runs\n\n- none-s0: NaN loss: at step 7\n")


def test_people_on_photographs_that_were_learnt_from_are_told(gathered):
    """Whoever makes the splits may not know it."""
    found = copy.deepcopy(gathered)
    found["protocol"]["reported"][0]["on_photographs_learnt_from"] = 4

    assert "4 of these people are on photographs" in markdown(found)


def test_the_pictures_show_a_bar_a_line_and_a_curve_a_way(gathered, tmp_path):
    """Every way in its own colour, and the colours of both pictures are the same."""
    bars(gathered, tmp_path / "bars.png")
    curves(gathered, tmp_path / "curves.png")

    shown = [_colours(tmp_path / name) for name in ("bars.png", "curves.png")]
    assert all(len(colours) > 3 for colours in shown)
    blue = (31, 119, 180)  # of the first row; bars are a little transparent
    assert any(max(abs(np.subtract(c, blue))) < 60 for c in shown[0])
    assert any(max(abs(np.subtract(c, blue))) < 60 for c in shown[1])


def test_scores_at_the_edge_are_drawn(gathered, tmp_path):
    """All zero, or all perfect: both happen in the first minute of a try."""
    for value in (0.0, 100.0):
        found = copy.deepcopy(gathered)
        for entry in found["lines"]:
            entry["sets"][SET] |= {"value": value, "interval": [value, value]}
            entry["sets"][SET]["seeds"] = {"0": value}
        bars(found, tmp_path / "bars.png")
    assert Image.open(tmp_path / "bars.png").width > 500


def _colours(path: Any) -> list[tuple[int, int, int]]:
    """The colours that much of a picture has."""
    image = Image.open(path).convert("RGB")
    counted = image.getcolors(maxcolors=1 << 24) or []
    return [colour for count, colour in counted if count > 20]  # type: ignore[misc]
