"""A run that has trained, as its folder tells it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch

from model.config import Config, SourceConfig, load_config, read_config
from model.data.terms import terms_of
from model.errors import CheckpointUnusable
from model.files import sha256_of
from model.receipt import Source
from model.skeletons import Skeleton
from model.training.start.begin import BEST
from model.training.start.manifest import MANIFEST, read_manifest
from model.training.state.checkpoints import load_judged
from model.training.state.learner import Learner

METRICS: Final = "metrics.json"


@dataclass(frozen=True)
class Trained:
    """A run as its folder tells it.

    config: as it was given, data where it lies here. told: without a path, and with what the device
    decided. learner: as it was at its best. manifest: where it came from, None where only a
    checkpoint is there. metrics: what was found when it finished with these weights, else empty.
    """

    name: str
    config: Config
    told: Config
    manifest: dict[str, Any] | None
    metrics: dict[str, Any]
    skeleton: Skeleton
    learner: Learner


def open_run(run_dir: Path, device: torch.device) -> Trained:
    """`best.pt` in `checkpoints` is enough. Raises CheckpointUnusable, ConfigError."""
    best = run_dir / BEST
    told, skeleton, learner = load_judged(best, device)
    known = (run_dir / MANIFEST).exists()
    # A checkpoint is made to be given away: only the folder knows where the data lies here.
    config = load_config(read_config(run_dir / "config.yaml")) if known else told
    metrics = read_metrics(run_dir)
    return Trained(
        name=run_dir.name,
        config=config,
        told=told.model_copy(update={"export": config.export}),
        manifest=read_manifest(run_dir) if known else None,
        metrics=metrics if metrics.get("checkpoint") == checkpoint_facts(best) else {},
        skeleton=skeleton,
        learner=learner,
    )


def read_metrics(run_dir: Path) -> dict[str, Any]:
    """What `model.training.outcome.finish` found; empty for a run that has not finished.

    Raises CheckpointUnusable.
    """
    try:
        metrics: dict[str, Any] = json.loads((run_dir / METRICS).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CheckpointUnusable(f"{run_dir.name}/{METRICS} is damaged: {error}") from error
    return metrics


def checkpoint_facts(best: Path) -> dict[str, str]:
    """The weights that a run's metrics are of: a run that goes on may find better ones."""
    return {"file": best.name, "sha256": sha256_of(best)}


def sources_of(run: Trained, part: Literal["train", "valid"]) -> tuple[Source, ...]:
    """The sets that it learnt from or was judged on, each with its terms."""
    if run.manifest is None:
        named = [_set_name(source) for source in getattr(run.config.data, part)]
        return tuple(
            Source(name=name, people=None, fingerprint=None, terms=terms_of(name)) for name in named
        )
    return tuple(
        Source(
            name=origin["name"],
            people=origin["people"],
            fingerprint=origin["fingerprint"],
            terms=terms_of(origin["name"]),
        )
        for origin in run.manifest[part]["sets"]
    )


def _set_name(source: SourceConfig) -> str:
    """As `LabelledSet.name` has it, without opening the set."""
    name = source.path.name if source.path else source.format
    return f"{name}:{source.split}" if source.split else str(name)
