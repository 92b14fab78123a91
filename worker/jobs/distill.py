"""Distil a network's branches and register the best one as a model's new version."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from model.config import Config, load_config, merge
from model.errors import ConfigError, Fault
from worker.jobs.kind import JobKind, Work
from worker.jobs.references import pinned, placed
from worker.jobs.sources import check_training
from worker.registry import read_card
from worker.store.tables import Job, Need, State, Version
from worker.stores import Stores


class Distill(JobKind):
    """config: a training configuration (`model.config`)."""

    example: ClassVar[Mapping[str, Any]] = {
        "preset": "tiny",
        "data": {
            "train": [{"dataset": "lsp", "split": "train"}],
            "valid": [{"dataset": "lsp", "split": "valid"}],
        },
        "export": {"name": "gym"},
    }

    trains: ClassVar[bool] = True
    needs: ClassVar[Need] = Need.ANY

    def resolve(self, config: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        resolved = check_training(load_config(config), stores)
        return pinned(resolved.model_dump(mode="json"), stores)

    def resumed(self, job: Job, epochs: int | None, trained: int) -> dict[str, Any]:
        training = load_config(job.resolved).training
        if epochs is None and (job.state != State.SUCCEEDED or trained < training.epochs):
            return job.resolved
        if epochs is None or epochs <= trained:
            raise ConfigError([Fault("epochs", f"{trained} are trained", f"{trained + 1} or more")])
        if training.device_minutes:
            raise ConfigError([Fault("epochs", "training.device_minutes decides on them", "null")])
        return merge(job.resolved, {"training": {"epochs": epochs}})

    def prepare(self, resolved: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        config = load_config(resolved).with_sources(stores.datasets.lookup)
        return placed(config.model_dump(mode="json"), stores)

    def run(self, work: Work) -> bool:
        from model.training.run import train  # torch: in the child alone

        outcome = train(
            Config.model_validate(work.spec),
            work.run_dir,
            resume=work.resume,
            stop=work.stop,
            device=work.device,
            cache=work.cache,
        )
        return outcome.state == "finished"

    def product(self, job: Job, run_dir: Path, stores: Stores) -> Version | None:
        """The best branch; where `export.branch` named another, that one.

        Of a part none: the job that it belongs to registers what is worth it.
        """
        if job.parent_id is not None:
            return None
        config = load_config(job.resolved)
        metrics = json.loads((run_dir / "metrics.json").read_text("utf-8"))
        students, best = metrics["students"], metrics["best"]["branch"]
        branch = best if best in students else next(iter(students))
        onnx = run_dir / "students" / students[branch]["file"]
        card = read_card(onnx)
        return stores.registry.prepare(config.export.name, onnx, card, card["metrics"], job.id)
