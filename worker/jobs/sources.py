"""Which data a posted job may name, and which version of them it means from then on."""

from model.config import Config, SourceConfig
from model.data.readers import WHOLE
from model.errors import ConfigError, Fault
from worker.stores import Stores


def placed_source(source: SourceConfig, stores: Stores) -> SourceConfig:
    """The source with this host's path for its name. Raises DatasetNotFound, DatasetError."""
    if source.dataset is None:
        return source
    format_, path = stores.datasets.lookup(source.dataset)
    named = {"dataset": None, "format": format_, "path": path}
    return SourceConfig.model_validate(source.model_dump() | named)


def check_source(source: SourceConfig, where: str, stores: Stores) -> SourceConfig:
    """The source as it is stored with a job: a registered set with its version, or synthetic.

    A path is refused: it would be the server's. Raises ConfigError, DatasetNotFound.
    """
    if source.path is not None:
        raise ConfigError(
            [
                Fault(
                    f"{where}.path",
                    "a job cannot name a path of the server",
                    "`dataset`: the name of a registered data set",
                )
            ]
        )
    if source.dataset is None:
        return source
    found = stores.datasets.get(source.dataset)
    splits = [name for name in found.splits if name != WHOLE]
    if source.split is not None and source.split not in splits:
        fault = Fault(
            f"{where}.split",
            f"data set {source.dataset!r} has no split {source.split!r}",
            ", ".join(splits) or "none: the set has no splits",
        )
        raise ConfigError([fault])
    return source.model_copy(update={"dataset": found.reference})


def check_training(config: Config, stores: Stores) -> Config:
    """A training's configuration with every source as `check_source` has it. Raises as it does."""
    pinned = {
        part: tuple(
            check_source(source, f"data.{part}[{i}]", stores) for i, source in enumerate(sources)
        )
        for part, sources in (("train", config.data.train), ("valid", config.data.valid))
    }
    return config.model_copy(update={"data": config.data.model_copy(update=pinned)})
