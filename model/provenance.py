"""Where a result came from: code, packages, command. Told to strangers, so no path is in it."""

import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Final

PACKAGES: Final = ("torch", "numpy", "pillow", "onnx", "onnxscript", "onnxruntime", "okdhp")

_FOLDERS: Final = re.compile(r"(?<![\w.…-])~?/(?:[^\s:=,\]\"'/]*/)*")
"""An absolute path but for its last name; also where it follows `lsp:` or `key=`."""

_URL: Final = re.compile(r"://(?:[^\s/]*/)*")


def code_version() -> str:
    """The distribution's version, with the commit where the code runs from a checkout."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        found = "no checkout"
    return f"{_version('okdhp')} ({found})"


def package_versions() -> dict[str, str | None]:
    """Of what a result depends on; None for what is not installed."""
    return {name: _version(name) for name in PACKAGES}


def code_licence() -> str:
    """The terms of this code as its distribution states them."""
    try:
        metadata = importlib.metadata.metadata("okdhp")
    except importlib.metadata.PackageNotFoundError:
        return "unknown: the code is not installed as a distribution"
    for key in ("License-Expression", "License"):
        if key in metadata:
            return metadata[key]
    return "unknown: the distribution states none"


def shown_command(argv: Sequence[str] | None = None) -> tuple[str, ...]:
    """The command line of this process; of absolute paths and URLs only the last name is told."""
    program, *arguments = sys.argv if argv is None else argv
    path = PurePath(program)
    name = path.parent.name if path.stem == "__main__" else path.stem
    return (name, *map(_shown, arguments))


def _shown(argument: str) -> str:
    if "://" in argument:  # its user or its query may be a secret
        return _URL.sub("://…/", argument.partition("?")[0])
    return _FOLDERS.sub("…/", argument)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
