"""How branches teach each other: one small file a scheme, one line in the table.

A scheme is a module (the FAU has weights of its own) that turns the network's maps into losses and
into the ensemble that is evaluated beside the branches.
"""

from collections.abc import Mapping
from typing import Any, Final

from model.config import Config
from model.schemes.base import Losses, Scheme
from model.schemes.dml import Dml
from model.schemes.fpd import Fpd
from model.schemes.mean import Mean
from model.schemes.none import Alone
from model.schemes.okddip import Okddip
from model.schemes.okdhp import Okdhp
from model.schemes.one import One

__all__ = ["SCHEMES", "Losses", "Scheme", "build_scheme"]

SCHEMES: Final[Mapping[str, type[Scheme[Any]]]] = {
    "none": Alone,
    "mean": Mean,
    "okdhp": Okdhp,
    "dml": Dml,
    "one": One,
    "okddip": Okddip,
    "fpd": Fpd,
}


def build_scheme(config: Config, joints: int) -> Scheme[Any]:
    """The scheme that the configuration names."""
    return SCHEMES[config.scheme.name](config, joints)
