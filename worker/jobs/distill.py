"""Distil a network's branches and register the best one as a model's new version."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.config import Config, SourceConfig, load_config
from model.errors import ConfigError, Fault
from worker.jobs.kind import JobKind, Work
from worker.jobs.sources import check_source
from worker.registry import read_card
from worker.store.tables import Job, Version
from worker.stores import Stores


class Distill(JobKind):
    """config: a training configuration, as `{"preset": "tiny", "training": {"epochs": 3}}`."""

    def resolve(self, config: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        resolved = load_config(config)
        for part in ("train", "valid"):
            sources: tuple[SourceConfig, ...] = getattr(resolved.data, part)
            for i, source in enumerate(sources):
                check_source(source, f"data.{part}[{i}]", stores)
        return resolved.model_dump(mode="json")

    def prepare(self, resolved: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        config = load_config(resolved).with_sources(stores.datasets.lookup)
        return config.model_dump(mode="json")

    def run(self, work: Work) -> bool:
        from model.training.run import train  # torch: in the child alone

        outcome = train(
            Config.model_validate(work.spec),
            work.run_dir,
            resume=work.resume,
            stop=work.stop,
            device=work.device,
        )
        return outcome.state == "finished"

    def product(self, job: Job, run_dir: Path, stores: Stores) -> Version | None: ...
