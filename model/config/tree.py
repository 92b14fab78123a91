"""The whole of a run's configuration."""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from model.config.base import Part
from model.config.data import AugmentConfig, DataConfig, SourceConfig
from model.config.network import NetworkConfig
from model.config.scheme import DmlConfig, OkddipConfig, OkdhpConfig, SchemeConfig, TargetConfig
from model.config.training import EvaluationConfig, ExportConfig, OptimConfig, TrainingConfig
from model.geometry import STRIDE


class Config(Part):
    """A run, resolved: every value is here."""

    data: DataConfig
    augment: AugmentConfig = AugmentConfig()
    network: NetworkConfig
    target: TargetConfig = TargetConfig()
    scheme: SchemeConfig = OkdhpConfig()
    optim: OptimConfig = OptimConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    export: ExportConfig = ExportConfig()

    @field_validator("scheme", mode="before")
    @classmethod
    def _named(cls, scheme: Any) -> Any:
        """Options without a name are of okdhp."""
        return {"name": "okdhp", **scheme} if isinstance(scheme, Mapping) else scheme

    @model_validator(mode="after")
    def _fits(self) -> Self:
        step = STRIDE * 2**self.network.depth
        if any(side % step for side in self.data.crop_px):
            raise ValueError(
                f"data.crop_px {list(self.data.crop_px)} does not fit network.depth "
                f"{self.network.depth}: each side must be a multiple of {step}"
            )
        if self.training.batch_size == 1 and all(side == step for side in self.data.crop_px):
            raise ValueError(
                f"training.batch_size 1 and data.crop_px {list(self.data.crop_px)} leave batch "
                f"normalisation one value at network.depth {self.network.depth}: "
                "accepted: a larger batch or crop"
            )
        if self.target.term == "mse" and self.evaluation.decoder == "expectation":
            raise ValueError("evaluation.decoder `expectation` needs target.term `ce`")
        patience, every = self.training.early_stop_epochs, self.evaluation.every_epochs
        if 0 < patience < every:
            raise ValueError(
                f"training.early_stop_epochs {patience} ends a run before it is first judged: "
                f"accepted: 0, or evaluation.every_epochs {every} and more"
            )
        if getattr(self.scheme, "average_teacher", False) and not self.training.ema_decay:
            raise ValueError("scheme.average_teacher needs training.ema_decay above 0")
        if isinstance(self.scheme, (DmlConfig, OkddipConfig)) and len(self.network.branches) < 2:
            raise ValueError(
                f"scheme.name {self.scheme.name} needs two network.branches or more: "
                "one has nobody to learn from"
            )
        parts, people = self.training.accumulate, self.training.batch_size
        if people and people < parts * self.training.devices:
            raise ValueError(
                f"training.batch_size {people} cannot be split into training.accumulate {parts} "
                f"parts on training.devices {self.training.devices}"
            )
        names = (*self.network.branch_names, "best", "all")
        if self.export.branch not in names:
            raise ValueError(f"export.branch {self.export.branch!r}: accepted: {', '.join(names)}")
        return self

    @property
    def ramp_epochs(self) -> float:
        """L of the scheme's ramp-up: as given, else its paper's share of the run."""
        given = getattr(self.scheme, "ramp_epochs", None)
        return self.scheme.RAMP_SHARE * self.training.epochs if given is None else given

    def with_sources(self, lookup: Callable[[str], tuple[str, Path]]) -> Self:
        """The same run with every `dataset` replaced by its (format, path)."""

        def found(source: SourceConfig) -> SourceConfig:
            if source.dataset is None:
                return source
            format_, path = lookup(source.dataset)
            return SourceConfig.model_validate(
                source.model_dump() | {"dataset": None, "format": format_, "path": path}
            )

        data = self.data.model_copy(
            update={
                "train": tuple(map(found, self.data.train)),
                "valid": tuple(map(found, self.data.valid)),
            }
        )
        return self.model_copy(update={"data": data})

    def without_paths(self) -> Self:
        """The same run for strangers: of every path and URL of a machine its last name is left."""
        tree = self.model_dump(mode="json")
        for source in (*tree["data"]["train"], *tree["data"]["valid"]):
            source["path"] = _last_name(source["path"])
        tree["data"]["weights"] = _last_name(tree["data"]["weights"])
        tree["training"]["init"] = _last_name(tree["training"]["init"])
        if "teacher" in tree["scheme"]:
            tree["scheme"]["teacher"] = _last_name(tree["scheme"]["teacher"])
        return self.model_validate(tree)


def _last_name(place: str | None) -> str | None:
    """Of a checkpoint also the run's name, since all are called alike."""
    if place is None or "/" not in place:
        return place
    path = PurePosixPath(urlsplit(place).path if "://" in place else place)
    if path.parent.name == "checkpoints":
        return str(PurePosixPath(path.parent.parent.name, "checkpoints", path.name))
    return path.name
