"""A comparison as Markdown: what was compared how, a table a set, and what is missing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_NOTHING: Final = "–"


def markdown(found: Mapping[str, Any]) -> str:
    """The whole document of `model.comparison.gather`, for people."""
    protocol = found["protocol"]
    parts = ["# Comparison", _preface(protocol)]
    for set_ in protocol["reported"]:
        columns = columns_of(found, set_["name"])
        rows = zip(*columns.values(), strict=True)
        parts += [heading(protocol, set_)]
        parts += ["\n".join([_line(list(columns)), _rule(len(columns)), *map(_line, rows)])]
        if any("†" in cell for column in columns.values() for cell in column):
            parts += ["† One seed is there: the interval is of people alone."]
        if set_["on_photographs_learnt_from"]:
            parts += [
                f"{set_['on_photographs_learnt_from']} of these people are on photographs of which "
                "others were learnt from or chosen on."
            ]
    parts += [_reading(protocol), _winner(found), _missing(found["cells"])]
    return "\n\n".join(filter(None, parts)) + "\n"


def heading(protocol: Mapping[str, Any], set_: Mapping[str, Any]) -> str:
    """Of a set's table."""
    return f"## {protocol['metric']} on {set_['people']} people of {set_['name']}"


def columns_of(found: Mapping[str, Any], name: str) -> dict[str, list[str]]:
    """A set's table by column.

    Differences that leave zero out are bold (`**…**`), but not those of one seed, which say nothing
    of others; where more were asked for they are marked `†`.
    """
    reference, lines = found["protocol"]["reference"], found["lines"]
    scores = [line["sets"][name] for line in lines]
    columns = {
        "scheme": [" ".join(filter(None, (line["row"], line["layout"]))) for line in lines],
        "student": [line["student"] for line in lines],
        "mean (95 %)": [_with_interval(score, _few(score, found)) for score in scores],
        f"to {reference} (95 %)": [_difference(score["to_reference"], found) for score in scores],
        "to alone (95 %)": [_difference(score["to_alone"], found) for score in scores],
        "seeds": [", ".join(f"{v:.1f}" for v in score["seeds"].values()) for score in scores],
    }
    for group in scores[0]["groups"]:
        columns[group] = [_shown(score["groups"][group], ".1f") for score in scores]
    if found["protocol"]["budget"] != "epochs":
        columns["epochs"] = [_shown(line["epochs"], "g") for line in lines]
    return columns | {
        "parameters": [_shown(line["parameters"], ",d") for line in lines],
        "GMACs": [_shown(line["macs"] and line["macs"] / 1e9, ".3g") for line in lines],
        "ms": [_shown(line["latency_ms"], ".2f") for line in lines],
        "training, × alone": [_shown(line["train_ratio"], ".2f") for line in lines],
    }


def _preface(protocol: Mapping[str, Any]) -> str:
    seeds = ", ".join(map(str, protocol["seeds"]))
    effort = (
        f"{protocol['epochs']} epochs"
        if protocol["budget"] == "epochs"
        else f"{protocol['device_minutes']:g} minutes of the device"
    )
    return (
        f"Every run learnt from {_people(protocol['learnt_from'])}, for {effort}; "
        f"seeds {seeds}. Branch and epoch were chosen by {protocol['selected_by']} on "
        f"{_people(protocol['selected_on'])}, who are in no table."
    )


def _people(sources: Sequence[Mapping[str, Any]]) -> str:
    """`897 people of lsp:train`."""
    return " and ".join(f"{source['people']} people of {source['name']}" for source in sources)


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
        f"leaves zero out. {spread} Latency: {protocol['latency']}. Training: the device's seconds "
        "in steps over those of the same student trained alone."
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


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(columns: int) -> str:
    return "|---|" + "---:|" * (columns - 1)


def _few(estimate: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """The mark of one seed where the comparison has more."""
    return "†" if len(estimate["seeds"]) == 1 < len(found["protocol"]["seeds"]) else ""


def _with_interval(estimate: Mapping[str, Any], mark: str) -> str:
    low, high = estimate["interval"]
    return f"{estimate['value']:.1f} ({low:.1f} … {high:.1f}){mark}"


def _difference(estimate: Mapping[str, Any] | None, found: Mapping[str, Any]) -> str:
    if estimate is None:
        return _NOTHING
    low, high = estimate["interval"]
    text = f"{estimate['value']:+.1f} ({low:+.1f} … {high:+.1f}){_few(estimate, found)}"
    clear = (low > 0 or high < 0) and len(estimate["seeds"]) > 1
    return f"**{text}**" if clear else text


def _shown(value: float | None, form: str) -> str:
    return _NOTHING if value is None else format(value, form)
