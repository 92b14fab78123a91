"""What a split's labels hold, in numbers."""

from typing import Any, Final

import numpy as np

from model.data.check import check_set
from model.validation.looking import Looked

SMALL_PX: Final = 32
"""Of a box's longer side: less shows hardly a joint."""
_BESIDE: Final = 0.25
"""Of a box's longer side: a joint may lie so far outside."""
_BY_JOINTS: Final = ("lsp",)
"""Formats whose boxes their readers make of the joints."""


def counted(looked: Looked, format: str) -> dict[str, Any]:
    """People, joints by name, and boxes. format: of `model.data.readers.READERS`, or `synthetic`.

    `boxes.joints_beside`: people with a joint far outside their own box.
    """
    labelled = looked.labelled
    known = check_set(labelled)
    boxes = np.array([person.box_img.as_list() for person in labelled.people])  # x, y, w, h
    longer = boxes[:, 2:].max(1)
    low = boxes[:, None, :2] - _BESIDE * longer[:, None, None]
    high = boxes[:, None, :2] + boxes[:, None, 2:] + _BESIDE * longer[:, None, None]
    points, there = labelled.joints_img[..., :2], labelled.joints_img[..., 2] > 0
    beside = (there & ((points < low) | (points > high)).any(-1)).any(-1)
    return {
        "people": known.people,
        "images": known.images,
        "skeleton": labelled.skeleton.name,
        "joints": known.joints,
        "joints_outside": known.joints_outside,
        "outside_people": known.outside_people,
        "boxes": {
            "given": format not in _BY_JOINTS,
            "longer_side_px": {
                "least": round(float(longer.min()), 1),
                "median": round(float(np.median(longer)), 1),
                "most": round(float(longer.max()), 1),
            },
            "small": int((longer < SMALL_PX).sum()),
            "off_image": known.boxes_outside,
            "joints_beside": int(beside.sum()),
        },
    }
