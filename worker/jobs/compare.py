"""Compare schemes: every run is a job of its own, and the winner becomes a model's new version."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from model.comparison.cells import cells
from model.comparison.config import CompareConfig, load_comparison
from model.comparison.gather import gather
from model.comparison.publish import WINNER, publish
from model.comparison.trained import Trained, trained_of
from model.config import load_config
from model.errors import PoseError
from model.training.events import EVENTS, EventLog
from worker.jobs.distill import Distill
from worker.jobs.kind import JobKind, Work
from worker.jobs.sources import check_source, check_training, placed_source
from worker.registry import read_card
from worker.store.parts import NewPart
from worker.store.tables import Job, State, Version
from worker.stores import Stores

_METRICS = "metrics.json"


class Compare(JobKind):
    """config: `CompareConfig`."""

    example: ClassVar[Mapping[str, Any]] = {
        "config": {"preset": "tiny"},
        "schemes": ["none", "mean", "okdhp"],
        "seeds": 2,
        "report": [{"format": "synthetic", "people": 500, "seed": 3}],
    }

    def resolve(self, config: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked = load_comparison(config)
        report = tuple(
            check_source(source, f"report[{i}]", stores) for i, source in enumerate(asked.report)
        )
        data = check_training(load_config(asked.config), stores).data.model_dump(mode="json")
        pinned = {"report": report, "config": {**asked.config, "data": data}}
        return asked.model_copy(update=pinned).model_dump(mode="json")

    def parts(self, resolved: Mapping[str, Any], stores: Stores) -> Sequence[NewPart]:
        trees = {
            cell.name: cell.config.model_dump(mode="json")
            for cell in cells(CompareConfig.model_validate(resolved))
        }
        return [
            NewPart(name, "distill", tree, Distill().resolve(tree, stores), Distill.needs)
            for name, tree in trees.items()
        ]

    def prepare(self, resolved: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked = CompareConfig.model_validate(resolved)
        data = load_config(asked.config).with_sources(stores.datasets.lookup).data
        asked = asked.model_copy(
            update={
                "config": {**asked.config, "data": data.model_dump(mode="json")},
                "report": tuple(placed_source(source, stores) for source in asked.report),
            }
        )
        return {"comparison": asked.model_dump(mode="json")}

    def gathered(self, parts: Sequence[Job], stores: Stores) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for part in parts:
            try:
                found[str(part.part)] = _left_by(part, stores)
            except PoseError as error:
                # One run whose files are lost must not cost the others' table.
                found[str(part.part)] = {"missing": str(error)}
        return {"parts": found}

    def run(self, work: Work) -> bool:
        def go_on() -> None:
            if work.stop():
                raise _AskedToEnd

        config = CompareConfig.model_validate(work.spec["comparison"])
        parts = work.spec["parts"]
        trained = {name: _trained(left) for name, left in parts.items() if "missing" not in left}
        missing = {name: left["missing"] for name, left in parts.items() if "missing" in left}
        with closing(EventLog(work.run_dir / EVENTS)) as events:
            events.write("started", runs=len(trained), missing=len(missing))
            events.write("evaluating")
            try:
                found = gather(config, cells(config), trained, missing, go_on=go_on)
            except _AskedToEnd:
                return False
            source = f"comparison, job {work.run_dir.name}"
            for name in publish(found, trained, work.run_dir, source=source):
                kind = "picture" if name.endswith(".png") else "artifact"
                events.write(kind, name=name, path=name)
            events.write("finished", metrics=found)
        return True

    def product(self, job: Job, run_dir: Path, stores: Stores) -> Version:
        name = load_config(job.resolved["config"]).export.name
        onnx = run_dir / WINNER
        card = read_card(onnx)
        return stores.registry.prepare(name, onnx, card, card["metrics"], job.id)


class _AskedToEnd(Exception):
    """The work should end; there is nothing to save that is not made again in a minute."""


def _left_by(part: Job, stores: Stores) -> dict[str, Any]:
    """What a part left, with paths of this host; or why it left nothing. Raises PoseError."""
    if part.state != State.SUCCEEDED:
        error = part.error or {}
        reason = f": {error['reason']}: {error['message']}" if error else ""
        return {"missing": f"job {part.id} is {part.state}{reason}"}
    artifacts = {artifact.name: artifact for artifact in stores.jobs.artifacts(part.id)}

    def local(suffix: str) -> dict[str, str]:
        """By branch."""
        return {
            name.removesuffix(suffix): str(stores.artifacts.fetch(a.key, a.sha256))
            for name, a in artifacts.items()
            if name.endswith(suffix)
        }

    metrics = stores.jobs.artifact(part.id, _METRICS)
    return {
        "students": local(".onnx"),
        "receipts": local(".receipt.json"),
        "metrics": str(stores.artifacts.fetch(metrics.key, metrics.sha256)),
        "history": stores.jobs.metrics(part)["history"],
    }


def _trained(left: Mapping[str, Any]) -> Trained:
    """What a part left, on the host that fetched it."""
    metrics = json.loads(Path(left["metrics"]).read_text("utf-8"))
    paths = [
        {branch: Path(path) for branch, path in left[what].items()}
        for what in ("students", "receipts")
    ]
    return trained_of(metrics, left["history"], *paths)
