"""The server's folders: kept out of what people are shown, and what people name below them."""

import re
from collections.abc import Iterable
from pathlib import Path

from model.errors import DatasetError


def hidden(text: str, folders: Iterable[Path]) -> str:
    """`text` with every path below one of the folders made relative to it, a folder itself `.`"""
    roots = {str(form) for folder in folders for form in (folder.absolute(), folder.resolve())}
    for root in sorted(roots - {"/"}, key=len, reverse=True):  # one inside another goes first
        below = re.escape(root) + "/"
        text = re.sub(rf"(?<![\w/.-]){below}", "", text)
        text = re.sub(rf"(?<![\w/.-]){re.escape(root)}(?![\w/-])", ".", text)
    return text


def inside(root: Path, path: str) -> Path:
    """The place of a relative path below the data folder. Raises DatasetError.

    Links are followed wherever they lead: only who has the server's disk can make one.
    """
    if not path.isprintable() or Path(path).is_absolute() or ".." in Path(path).parts:
        raise DatasetError(path, None, "is not a relative path inside the data folder")
    whole = root.resolve() / path
    try:
        there = whole.exists()
    except OSError:  # as a name that is too long for the disk
        there = False
    if not there:
        raise DatasetError(path, None, "does not exist in the data folder")
    return whole
