"""The names that people give to models and data sets, and that a job gives to its students."""

import re
from typing import Final
from uuid import UUID

from worker.errors import NameInvalid

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def is_name(text: str) -> bool:
    """Whether anything can have this name: what cannot is not asked of the database."""
    return _NAME.fullmatch(text) is not None


def is_id(text: str) -> bool:
    """Whether a job can have this id: what cannot is not asked of the database."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def checked_name(name: str, what: str) -> str:
    """`name`, as it stands. Raises NameInvalid; `what` says what it should name."""
    if not is_name(name):
        raise NameInvalid(
            f"{name!r} cannot name a {what}: accepted are 1 to 64 of a-z, 0-9, '.', '_' and '-', "
            "the first a letter or digit"
        )
    return name


def student_file(branch: str) -> str:
    """What a job's artifact is called that is this branch's ONNX file."""
    return f"{branch}.onnx"


def receipt_file(branch: str) -> str:
    """The same for its receipt, which is `model.receipt.beside` it."""
    return f"{branch}.receipt.json"
