"""Which data a posted job may name."""

from model.config import SourceConfig
from model.errors import ConfigError, Fault
from worker.datasets import WHOLE
from worker.stores import Stores


def placed_source(source: SourceConfig, stores: Stores) -> SourceConfig:
    """The source with this host's path for its name. Raises DatasetNotFound, DatasetError."""
    if source.dataset is None:
        return source
    format_, path = stores.datasets.lookup(source.dataset)
    named = {"dataset": None, "format": format_, "path": path}
    return SourceConfig.model_validate(source.model_dump() | named)


def check_source(source: SourceConfig, where: str, stores: Stores) -> None:
    """A registered set or the built-in synthetic one; never a path, which would be the server's.

    Raises ConfigError, DatasetNotFound.
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
        return
    splits = [name for name in stores.datasets.get(source.dataset).splits if name != WHOLE]
    if source.split is not None and source.split not in splits:
        fault = Fault(
            f"{where}.split",
            f"data set {source.dataset!r} has no split {source.split!r}",
            ", ".join(splits) or "none: the set has no splits",
        )
        raise ConfigError([fault])
