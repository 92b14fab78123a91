"""Which branch of a run to deploy: every one measured here, the best within a budget of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from model.config import SourceConfig
from model.data.mixture import open_source
from model.errors import DatasetError
from model.evidence import latencies
from model.files import replaced
from model.predictor import available
from model.receipt import Figure, Latency, Receipt, measured, with_latency
from model.training.outcome.ship import examine, kept_map, ship
from model.training.outcome.trained import open_run

_GREY: Final = "#8c8c8c"


@dataclass(frozen=True)
class Option:
    """A branch, exported. receipt: with its accuracy and its latency on this machine.

    score: the mean over the sets, people counting alike, of the metric that the choice goes by.
    latency: of one crop, without its mirror; so are the answers that `score` is of.
    """

    branch: str
    file: Path
    receipt: Receipt
    metric: str
    score: float
    latency: Latency

    @property
    def ms(self) -> float:
        return self.latency.median_ms

    def figures(self) -> dict[str, Figure]:
        """The metric's number on each set that has it."""
        told = measured(self.receipt.accuracy)
        return {of.data: of.metrics[self.metric] for of in told if self.metric in of.metrics}


def options(
    run_dir: Path, sources: Sequence[SourceConfig], folder: Path, *, provider: str
) -> list[Option]:
    """Every branch of a run, exported into `folder`, held to PyTorch, timed side by side.

    sources: who is answered; none: the run's own validation, on which its epoch was chosen.
    provider: of `model.predictor.PROVIDERS`. The metric is the run's own where the sets allow it.
    Raises CheckpointUnusable, DatasetError, ModelUnusable.
    """
    available(provider)  # before minutes of work
    run = open_run(run_dir, torch.device("cpu"))
    examined = [
        examine(run, open_source(source), flip_test=False)
        for source in sources or run.config.data.valid
    ]
    names = run.learner.network.names
    files = [folder / f"{name}.onnx" for name in names]
    receipts = [
        ship(run, name, examined, file, scores=kept_map(run, name), chosen_on=not sources)
        for name, file in zip(names, files, strict=True)
    ]
    timed = latencies(files, provider=provider)
    return [
        option_of(name, file, with_latency(receipt, latency), run.config.evaluation.metric)
        for name, file, receipt, latency in zip(names, files, receipts, timed, strict=True)
    ]


def best_within(found: Sequence[Option], latency_ms: float) -> Option | None:
    """The most accurate that is fast enough, of equals the faster; None where none is."""
    fast = [option for option in found if option.ms <= latency_ms]
    return max(fast, key=lambda option: (option.score, -option.ms), default=None)


def draw(found: Sequence[Option], latency_ms: float, chosen: Option | None, path: Path) -> None:
    """Writes a PNG: accuracy with its interval against latency, the budget, and the choice."""
    # Figure without pyplot: no window system, no state shared with other threads.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    sets = list(found[0].figures())
    drawing = Drawing(figsize=(1.5 + 5.5 * len(sets), 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(drawing)
    for axes, name in zip(drawing.subplots(1, len(sets), squeeze=False)[0], sets, strict=True):
        for option in found:
            figure = option.figures()[name]
            low, high = figure.interval_95 or (figure.value, figure.value)
            axes.errorbar(
                option.ms,
                figure.value,
                yerr=[[figure.value - low], [high - figure.value]],
                fmt="o",
                markersize=8 if option is chosen else 5,
                color="C2" if option is chosen else _GREY,
                capsize=3,
            )
            axes.annotate(
                option.branch,
                (option.ms, figure.value),
                (7, 5),
                textcoords="offset points",
                weight="bold" if option is chosen else "normal",
            )
        axes.axvline(latency_ms, color="C3", linestyle="--", linewidth=1)
        axes.set_xlim(0, 1.25 * max(latency_ms, *(option.ms for option in found)))
        axes.set(
            title=name,
            xlabel=f"ms a crop on {found[0].latency.device}; dashed: the {latency_ms:g} ms allowed",
            ylabel=found[0].metric,
        )
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    with replaced(path) as file:
        drawing.savefig(file, format="png")


def option_of(branch: str, file: Path, receipt: Receipt, wanted: str) -> Option:
    """wanted: the metric, where the sets allow it. Raises DatasetError where they allow none."""
    sets = measured(receipt.accuracy)
    told = [metric for of in sets for metric in of.metrics]
    if not told:
        names = ", ".join(of.data for of in sets)
        raise DatasetError(names, None, "nobody has the labels that any metric takes")
    metric = wanted if wanted in told else told[0]
    scored = [of for of in sets if metric in of.metrics]
    total = sum(of.people * of.metrics[metric].value for of in scored)
    return Option(
        branch=branch,
        file=file,
        receipt=receipt,
        metric=metric,
        score=total / sum(of.people for of in scored),
        latency=next(of for of in measured(receipt.latency) if of.batch == 1),
    )
