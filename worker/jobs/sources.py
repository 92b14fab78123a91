"""Which data a posted job may name."""

from model.config import SourceConfig
from model.errors import ConfigError, Fault
from worker.stores import Stores


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
    if source.dataset is not None:
        stores.datasets.get(source.dataset)
