"""Which data set lies in a folder, told by the names of its files."""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from model.errors import DatasetError

_LABELS: Final[Mapping[str, re.Pattern[str]]] = {
    "coco": re.compile(r"(?:(.+)/)?annotations/person_keypoints_[^/]+\.json"),
    "mpii": re.compile(r"(?:(.+)/)?annot/[^/]+\.json"),
    "lsp": re.compile(r"(?:(.+)/)?joints\.mat"),
}
"""Where each format's labels lie; before them the set's own folder."""

FORMATS: Final = tuple(_LABELS)
"""What may be uploaded. Not packs: their reader trusts the sizes that a pack tells of itself."""
_ACCEPTED: Final = (
    "annotations/person_keypoints_<split>.json (coco), annot/<split>.json (mpii) or joints.mat "
    "(lsp), with the images beside it"
)


class Layout(NamedTuple):
    """A set's format, and its folder among the files."""

    format: str
    root: str

    def __str__(self) -> str:
        return f"{self.format} in {self.root or 'the top folder'}"


def find_layout(files: Iterable[PurePosixPath], format: str | None, archive: str) -> Layout:
    """The one set among the files, of the format if one is given.

    Raises DatasetError, naming `archive`, where there is none or more than one.
    """
    found = {
        Layout(name, match[1] or "")
        for file in files
        for name, labels in _LABELS.items()
        if (match := labels.fullmatch(file.as_posix()))
    }
    chosen = sorted(layout for layout in found if format in (None, layout.format))
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        sets = ", ".join(map(str, chosen[:10]))
        fault = f"holds {len(chosen)} data sets, one is accepted: {sets}"
    elif found:
        others = ", ".join(map(str, sorted(found)[:10]))
        fault = f"holds no data set of the format {format}, but {others}"
    else:
        fault = f"holds no data set; accepted: {_ACCEPTED}"
    raise DatasetError(archive, None, fault)
