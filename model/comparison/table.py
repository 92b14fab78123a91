"""A comparison as Markdown: what was compared how, a table a set, and what is missing."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_NOTHING: Final = "–"


def markdown(found: Mapping[str, Any]) -> str:
    """The whole document of `model.comparison.gather`, for people."""
    protocol = found["protocol"]
    parts = ["# Comparison", _preface(protocol)]
    for set_ in protocol["reported"]:
        rows = [header(found, set_["name"]), *body(found, set_["name"])]
        parts += [f"## {protocol['metric']} on {set_['name']}: {set_['people']} people"]
        parts += ["\n".join([_line(rows[0]), _rule(rows[0]), *map(_line, rows[1:])])]
        if set_["on_photographs_learnt_from"]:
            parts += [
                f"{set_['on_photographs_learnt_from']} of these people are on photographs of which "
                "others were learnt from or chosen on."
            ]
    parts += [_reading(protocol), _winner(found), _missing(found["cells"])]
    return "\n\n".join(filter(None, parts)) + "\n"


def header(found: Mapping[str, Any], name: str) -> list[str]:
    """The columns of a set's table."""
    protocol, lines = found["protocol"], found["lines"]
    groups = lines[0]["sets"][name]["groups"]
    return [
        "scheme",
        *(["student"] if _several_students(lines) else []),
        "mean (95 %)",
        f"to {protocol['reference']} (95 %)",
        "to alone (95 %)",
        "seeds",
        *groups,
        "parameters",
        "GMACs",
        "ms",
        "training, × alone",
    ]


def body(found: Mapping[str, Any], name: str) -> list[list[str]]:
    """A set's table, a line of text a line; differences that leave zero out are bold."""
    lines = found["lines"]
    several = _several_students(lines)
    return [
        [
            " ".join(filter(None, (line["row"], line["layout"]))),
            *([line["student"]] if several else []),
            _with_interval(line["sets"][name]),
            _difference(line["sets"][name]["to_reference"]),
            _difference(line["sets"][name]["to_alone"]),
            ", ".join(f"{score:.1f}" for score in line["sets"][name]["seeds"].values()),
            *(_shown(score, ".1f") for score in line["sets"][name]["groups"].values()),
            _shown(line["parameters"], ",d"),
            _NOTHING if line["macs"] is None else f"{line['macs'] / 1e9:.3f}",
            _shown(line["latency_ms"], ".2f"),
            _shown(line["train_ratio"], ".2f"),
        ]
        for line in lines
    ]


def _several_students(lines: Sequence[Mapping[str, Any]]) -> bool:
    return len({line["student"] for line in lines}) > 1


def _preface(protocol: Mapping[str, Any]) -> str:
    seeds = ", ".join(map(str, protocol["seeds"]))
    effort = (
        f"{protocol['epochs']} epochs"
        if protocol["budget"] == "epochs"
        else f"{protocol['device_minutes']:g} minutes of the device"
    )
    return (
        f"Every run learnt from {'; '.join(protocol['learnt_from'])}, for {effort}; "
        f"seeds {seeds}. Branch and epoch were chosen by {protocol['selected_by']} on "
        f"{'; '.join(protocol['selected_on'])}, people who are in no table."
    )


def _reading(protocol: Mapping[str, Any]) -> str:
    seeds = len(protocol["seeds"])
    spread = (
        "One seed: the intervals are of people alone, and do not tell what another seed would do."
        if seeds == 1
        else f"Intervals: {protocol['interval']}."
    )
    flip = "with" if protocol["flip_test"] else "without"
    return (
        f"Percent of joints, {flip} flip test; differences in points, in bold where the interval "
        f"leaves zero out. {spread} Latency: {protocol['latency']}. Training: seconds in steps "
        "over those of the same student trained alone."
    )


def _winner(found: Mapping[str, Any]) -> str:
    winner = found["winner"]
    line = found["lines"][winner["line"]]
    name = " ".join(filter(None, (line["row"], line["layout"])))
    return (
        f"Best on the people that choose: **{name}**, student {line['student']} "
        f"({line['selection']:.1f} over seeds); of its runs {winner['cell']}, "
        f"{winner['branch']} after epoch {winner['epoch']} ({winner['selection']:.1f})."
    )


def _missing(cells: Sequence[Mapping[str, Any]]) -> str:
    gone = [cell for cell in cells if "missing" in cell]
    if not gone:
        return ""
    rows = "\n".join(f"- {cell['name']}: {cell['missing']}" for cell in gone)
    return f"## Missing: {len(gone)} of {len(cells)} runs\n\n{rows}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(cells: Sequence[str]) -> str:
    return "|---|" + "---:|" * (len(cells) - 1)


def _with_interval(estimate: Mapping[str, Any]) -> str:
    low, high = estimate["interval"]
    return f"{estimate['value']:.1f} ({low:.1f} … {high:.1f})"


def _difference(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None:
        return _NOTHING
    low, high = estimate["interval"]
    text = f"{estimate['value']:+.1f} ({low:+.1f} … {high:+.1f})"
    return f"**{text}**" if low > 0 or high < 0 else text


def _shown(value: float | None, form: str) -> str:
    return _NOTHING if value is None else format(value, form)
