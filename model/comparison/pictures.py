"""A comparison as pictures: bars with intervals, and the selection's curves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from model.comparison.config import ALONE
from model.files import replaced

_GREY: Final = "#8c8c8c"


def bars(found: Mapping[str, Any], path: Path) -> None:
    """Writes a PNG: a panel a set, a bar a line with its interval, the seeds as dots."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines, sets = found["lines"], found["protocol"]["reported"]
    several = len({line["student"] for line in lines}) > 1
    names = [_name(line, several) for line in lines]
    colours = _colours(found)
    figure = Figure(
        figsize=(1.5 + 6.5 * len(sets), 1.3 + 0.42 * len(lines)), dpi=110, layout="constrained"
    )
    FigureCanvasAgg(figure)
    for axes, set_ in zip(figure.subplots(1, len(sets), squeeze=False)[0], sets, strict=True):
        scores = [line["sets"][set_["name"]] for line in lines]
        for at, (line, score) in enumerate(zip(lines, scores, strict=True)):
            low, high = score["interval"]
            axes.barh(at, score["value"], color=colours[line["row"], line["layout"]], alpha=0.75)
            axes.errorbar(
                score["value"],
                at,
                xerr=[[score["value"] - low], [high - score["value"]]],
                color="black",
                capsize=3,
                linewidth=1.2,
            )
            seeds = list(score["seeds"].values())
            axes.plot(seeds, [at] * len(seeds), "o", color="black", markersize=3, zorder=3)
        every = [v for score in scores for v in (*score["interval"], *score["seeds"].values())]
        # A bar's length is its value: begun elsewhere, half a point would look like twice as much.
        axes.set_xlim(0.0, min(100.0, 1.05 * max(every) + 1))
        axes.set_yticks(range(len(lines)), names)
        axes.invert_yaxis()
        axes.set(
            title=f"{set_['people']} people of {set_['name']}",
            xlabel=f"{found['protocol']['metric']} in percent, 95 % intervals, dots are seeds",
        )
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    with replaced(path) as file:
        figure.savefig(file, format="png")


def curves(found: Mapping[str, Any], path: Path) -> None:
    """Writes a PNG: the best branch on the selection people over epochs; seeds thin, means bold."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8.5, 4.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    colours = _colours(found)
    ways: dict[tuple[str, str, str], list[dict[int, float]]] = {}
    for cell in found["cells"]:
        if cell.get("curve"):
            way = cell["row"], cell["layout"], cell["name"].rpartition("-s")[0]
            ways.setdefault(way, []).append(dict(cell["curve"]))
    for (row, layout, name), seeds in ways.items():
        colour = colours[row, layout]
        for curve in seeds:
            axes.plot(list(curve), list(curve.values()), color=colour, linewidth=0.7, alpha=0.6)
        both = sorted(set.intersection(*map(set, seeds)))
        axes.plot(
            both,
            [sum(curve[epoch] for curve in seeds) / len(seeds) for epoch in both],
            color=colour,
            linewidth=2,
            label=name,
            marker="o" if len(both) < 25 else "",
            markersize=3,
        )
    axes.set(
        title="the best branch on the people that choose",
        xlabel="epoch",
        ylabel=f"{found['protocol']['selected_by']} in percent",
    )
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    with replaced(path) as file:
        figure.savefig(file, format="png")


def _colours(found: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """By row and layout, the same in every picture; the student alone is grey."""
    from matplotlib import colormaps

    ways = dict.fromkeys((cell["row"], cell["layout"]) for cell in found["cells"])
    taught = [way for way in ways if way[0] != ALONE]
    palette, tones = ("tab10", 10) if len(taught) <= 10 else ("tab20", 20)
    colours = {way: colormaps[palette](i % tones) for i, way in enumerate(taught)}
    return colours | {(ALONE, ""): _GREY}


def _name(line: Mapping[str, Any], several: bool) -> str:
    name = " ".join(filter(None, (line["row"], line["layout"])))
    return f"{name} ({line['student']})" if several else name
