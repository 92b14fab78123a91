"""Keeping the server's folders out of what people are shown."""

import re
from collections.abc import Iterable
from pathlib import Path


def hidden(text: str, folders: Iterable[Path]) -> str:
    """`text` with every path below one of the folders made relative to it, a folder itself `.`"""
    roots = {str(form) for folder in folders for form in (folder.absolute(), folder.resolve())}
    for root in sorted(roots - {"/"}, key=len, reverse=True):  # one inside another goes first
        below = re.escape(root) + "/"
        text = re.sub(rf"(?<![\w/.-]){below}", "", text)
        text = re.sub(rf"(?<![\w/.-]){re.escape(root)}(?![\w/-])", ".", text)
    return text
