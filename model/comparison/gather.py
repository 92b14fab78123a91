"""Finished runs become one document: measured, held against each other, and the winner named."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.comparison.cells import Cell
from model.comparison.config import ALONE, CompareConfig
from model.comparison.lines import Line, lines_of, rival, winner_of
from model.comparison.report import Scored, beside, check_apart, score
from model.comparison.trained import Trained
from model.config import Config, SourceConfig
from model.data.mixture import count_people
from model.errors import ComparisonImpossible
from model.latency import interleaved_ms
from model.metrics.bootstrap import DRAWS, Estimate, PairedBootstrap
from model.predictor import Predictor
from model.skeletons import Skeleton

FORMAT: Final = 1
THREADS: Final = 1
"""Of ONNX Runtime in measured latencies: the same everywhere, and steady on a busy machine."""


def gather(
    config: CompareConfig,
    all_cells: Sequence[Cell],
    trained: Mapping[str, Trained],
    missing: Mapping[str, str],
    *,
    go_on: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """The comparison as JSON: `protocol`, `cells`, `lines` and the `winner`.

    trained, missing: by the cell's name, what the finished ones left and why others are not there.
    go_on: called between students; what it raises ends this.
    Raises ComparisonImpossible (there is no run to compare with), ConfigError (people of the table
    are learnt from), DatasetError, ModelUnusable.
    """
    lines = lines_of(all_cells, trained)
    _refuse_without_rival(config, lines, missing)
    common = all_cells[0].config
    check_apart(config.report, common)
    assert config.metric is not None  # load_comparison fills it in
    deployed = [one for line in lines for one in line.deployed.values()]
    sets = [score(source, deployed, config.metric, go_on) for source in config.report]
    entries = [_costs(line) for line in lines]
    _add_latencies(entries, lines, go_on)
    _add_ratios(entries, lines)
    for set_ in sets:
        _add_scores(entries, lines, set_, config)
    line, run = winner_of(lines)
    return {
        "format": FORMAT,
        "protocol": _protocol(config, common, sets),
        "cells": [_cell_entry(cell, trained, missing) for cell in all_cells],
        "lines": entries,
        "winner": {
            "line": lines.index(line),
            "cell": run.cell.name,
            "branch": run.branch,
            "epoch": run.trained.best_epoch,
            "selection": round(run.selection, 3),
        },
    }


def _refuse_without_rival(
    config: CompareConfig, lines: Sequence[Line], missing: Mapping[str, str]
) -> None:
    """A table of which nothing can be read off is no table."""
    there = {line.row for line in lines}
    if len(there) > 1 and there & {config.reference, ALONE}:
        return
    wanted = f"{config.reference!r} or {ALONE!r}" if config.alone else repr(config.reference)
    reasons = [f"{name}: {reason}" for name, reason in missing.items()]
    raise ComparisonImpossible(
        f"{len(there)} of {len(config.rows)} rows are there, and a comparison needs {wanted} "
        "and one more; " + ("; ".join(reasons) or "no run has begun")
    )


def _protocol(config: CompareConfig, common: Config, sets: Sequence[Scored]) -> dict[str, Any]:
    """What was compared how, so that the numbers can be read years later."""
    learnt = [*common.data.train, *common.data.valid]
    return {
        "metric": config.metric,
        "selected_by": common.evaluation.metric,
        "flip_test": common.evaluation.flip_test,
        "reference": config.reference,
        "seeds": list(config.seeds),
        "budget": config.budget,
        "device_minutes": config.device_minutes or None,
        "epochs": common.training.epochs if config.budget == "epochs" else None,
        "learnt_from": [_counted(source) for source in common.data.train],
        "selected_on": [_counted(source) for source in common.data.valid],
        "reported": [
            {
                "name": set_.name,
                "people": len(set_.labelled.people),
                "on_photographs_learnt_from": beside(list(set_.labelled.people), learnt),
            }
            for set_ in sets
        ],
        "interval": f"95 %, paired bootstrap over people and seeds, {DRAWS} draws",
        "latency": f"one crop, ONNX Runtime on the CPU, {THREADS} thread, median",
    }


def _counted(source: SourceConfig) -> dict[str, Any]:
    return {"name": source.told, "people": count_people(source)}


def _cell_entry(
    cell: Cell, trained: Mapping[str, Trained], missing: Mapping[str, str]
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": cell.name,
        "row": cell.row,
        "layout": cell.layout,
        "seed": cell.seed,
    }
    run = trained.get(cell.name)
    if run is None:
        return entry | {"missing": missing.get(cell.name, "has not run")}
    metric = cell.config.evaluation.metric
    return entry | {
        "epochs": len(run.history),
        "best_epoch": run.best_epoch,
        "training": dict(run.training),
        "curve": [
            [e["epoch"], max(scores[metric] for scores in e["branches"].values())]
            for e in run.history
            if "branches" in e
        ],
    }


def _costs(line: Line) -> dict[str, Any]:
    """Who the line is, and what its student and its training cost."""
    runs = line.deployed
    any_run = next(iter(runs.values()))
    receipt = any_run.trained.receipts.get(any_run.branch)
    return {
        "row": line.row,
        "layout": line.layout,
        "student": line.student_name,
        "parameters": receipt and receipt.cost.parameters,
        "macs": receipt and receipt.cost.macs,
        "branches": {str(seed): one.branch for seed, one in runs.items()},
        "selection": round(line.selection, 3),
        "epochs": round(float(np.mean([len(one.trained.history) for one in runs.values()])), 1),
        "sets": {},
    }


def _add_latencies(
    entries: Sequence[dict[str, Any]], lines: Sequence[Line], go_on: Callable[[], None]
) -> None:
    go_on()
    students = [
        Predictor(next(iter(line.deployed.values())).onnx, threads=THREADS) for line in lines
    ]
    for entry, ms in zip(entries, interleaved_ms(students), strict=True):
        entry["latency_ms"] = round(ms, 3)


def _add_ratios(entries: Sequence[dict[str, Any]], lines: Sequence[Line]) -> None:
    """How many times as long as the student alone a line trained, over the seeds of both."""
    took = [
        {seed: s for seed, one in line.deployed.items() if (s := one.trained.device_s)}
        for line in lines
    ]
    for entry, line, ours in zip(entries, lines, took, strict=True):
        alone = line if line.row == ALONE else rival(lines, line, ALONE)
        theirs = took[lines.index(alone)] if alone else {}
        both = sorted(set(ours) & set(theirs))
        entry["train_s"] = round(float(np.mean(list(ours.values()))), 1) if ours else None
        entry["train_ratio"] = (
            round(sum(ours[seed] for seed in both) / sum(theirs[seed] for seed in both), 3)
            if both
            else None
        )


def _add_scores(
    entries: Sequence[dict[str, Any]],
    lines: Sequence[Line],
    set_: Scored,
    config: CompareConfig,
) -> None:
    """What a set says of every line: mean, seeds, joint groups, and the differences."""
    skeleton = set_.labelled.skeleton
    columns = [k for k, joint in enumerate(skeleton.joints) if joint not in skeleton.mean_omits]
    bootstrap = PairedBootstrap(set_.counted[:, columns].sum(1))

    def hits(line: Line, seeds: Sequence[int]) -> NDArray[np.int64]:
        """`[S, P]` joints found."""
        of_seed = set_.seeds(line)
        return np.stack([of_seed[seed][:, columns].sum(1) for seed in seeds])

    def difference(line: Line, other: Line | None) -> dict[str, Any] | None:
        both = sorted(set(line.deployed) & set(other.deployed)) if other else []
        if other is None or not both:
            return None
        found = bootstrap.difference(hits(line, both), hits(other, both))
        return {**found.to_json(), "seeds": both}

    for entry, line in zip(entries, lines, strict=True):
        seeds = sorted(line.deployed)
        found = hits(line, seeds)
        mean: Estimate = bootstrap.mean(found)
        entry["sets"][set_.name] = {
            **mean.to_json(),
            "seeds": {
                str(seed): round(bootstrap.mean(row[None]).value, 3)
                for seed, row in zip(seeds, found, strict=True)
            },
            "groups": _groups(set_, line, skeleton),
            "to_reference": difference(line, rival(lines, line, config.reference)),
            "to_alone": difference(line, rival(lines, line, ALONE)),
        }


def _groups(set_: Scored, line: Line, skeleton: Skeleton) -> dict[str, float | None]:
    """The benchmark's lines in percent, as `model.metrics.pck` has them, averaged over seeds."""
    counts = set_.counted.sum(0)  # [K]
    shares = 100 * np.mean([found.sum(0) for found in set_.seeds(line).values()], 0)
    shares = shares / np.maximum(counts, 1)
    at = {
        name: [k for k in map(skeleton.index, joints) if counts[k]]
        for name, joints in skeleton.groups.items()
    }
    return {
        name: round(float(shares[rows].mean()), 2) if rows else None for name, rows in at.items()
    }
