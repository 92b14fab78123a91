"""Options that several commands share, and what they mean."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from service.settings import ServiceSettings

Home = Annotated[
    Path | None,
    typer.Option(
        envvar="OKDHP_HOME",
        show_default="~/.okdhp",
        file_okay=False,
        help="Folder of all state: models, jobs, data sets.",
    ),
]


def settings_of(home: Path | None) -> "ServiceSettings":
    """The settings of the environment, with another home if one is given. Raises ConfigError."""
    from pydantic import ValidationError

    from model.errors import ConfigError, Fault
    from service.settings import ServiceSettings

    given: dict[str, Any] = {} if home is None else {"home": home.expanduser().absolute()}
    try:
        return ServiceSettings(**given)
    except ValidationError as error:
        faults = [
            Fault(f"OKDHP_{str(e['loc'][0]).upper()}", f"found {e['input']!r}", e["msg"])
            for e in error.errors()
        ]
        raise ConfigError(faults) from None


def need_runtime() -> None:
    """Raises NotInstalled where there is no ONNX Runtime."""
    _need("onnxruntime", "this needs ONNX Runtime: pip install 'okdhp[cpu]', or 'okdhp[gpu]'")


def need_training() -> None:
    """Raises NotInstalled where torch or ONNX Runtime is missing."""
    need_runtime()
    _need("torch", "this needs the training packages: pip install 'okdhp[train]'")


def _need(package: str, otherwise: str) -> None:
    from worker.errors import NotInstalled

    if importlib.util.find_spec(package) is None:
        raise NotInstalled(otherwise)
