"""On which terms labelled sets may be used, as far as their publishers say so.

A set is known by its reader's name for it (`LabelledSet.name`). People's own photographs come in
COCO's format, so that of it alone nothing follows. From what is commonly said of the sets, not
checked against their own pages: look there before you rely on it. No legal advice.
"""

from collections.abc import Mapping
from typing import Final

_LEEDS: Final = (
    "photographs from Flickr that belong to their owners, gathered for research; "
    "the labels' authors, Johnson & Everingham, are to be cited"
)
TERMS: Final[Mapping[str, str]] = {
    "lsp": f"Leeds Sports Pose: {_LEEDS} (BMVC 2010)",
    "lspet": f"Leeds Sports Pose Extended: {_LEEDS} (CVPR 2011)",
    "mpii": "MPII Human Pose: frames of YouTube videos that belong to their owners, for research; "
    "labels under the simplified BSD licence (Andriluka et al., CVPR 2014)",
    "coco": "unknown: ask their owners; of COCO itself photographs from Flickr under their "
    "owners' own licences, labels under CC BY 4.0 (Lin et al., ECCV 2014)",
    "synthetic": "drawn by this code, whose licence applies",
}


def terms_of(name: str) -> str:
    """The terms of a set called as in `LabelledSet.name`, as `lsp:train`."""
    known = TERMS.get(name.partition(":")[0])
    return known or "unknown: ask whom the photographs belong to"
