"""A deployed student: ONNX Runtime, NumPy and Pillow alone. Importing this never imports torch.

The file is self-contained: crop in, keypoints out, and where the data knew it the probability that
a joint is seen; what it is stands in its metadata (`Card`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from model.errors import ModelUnusable
from model.geometry import Box, Crop, check_on_image
from model.onnx_check import only_computes
from model.precisions import FULL
from model.skeletons import Skeleton, from_description

BUNDLED: Final = Path(__file__).with_name("weights") / "okdhp.onnx"
"""The student that ships, distilled by this code (`model/weights/okdhp.md` is its card)."""

FORMAT: Final = "1"
METADATA_KEY: Final = "okdhp"
KEYPOINTS: Final = "keypoints"
VISIBLE: Final = "visible"
"""A file's outputs; the second is there where the card `tells_visible`."""
PROVIDERS: Final[Mapping[str, str]] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


@dataclass(frozen=True)
class Card:
    """What a student's file says of itself."""

    branch: str
    skeleton: Skeleton
    size: tuple[int, int]  # (H, W) of the crop
    padding: float
    run: str
    data: tuple[str, ...]
    licence: str
    metrics: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] | None = None
    """How the map from scores to probabilities was fitted, and how well it does on people that it
    was not fitted on (`model.calibration`); None where a score is what the decoder says."""
    precision: str = FULL
    """What the network computes with: one of `model.precisions`."""

    @property
    def tells_visible(self) -> bool:
        """Whether the file tells of each joint how likely it is seen and not hidden."""
        return bool(self.calibration and self.calibration.get("visible"))

    def to_json(self) -> str:
        """The metadata's text; `from_json` reads it."""
        return json.dumps(
            {
                "format": FORMAT,
                "branch": self.branch,
                "skeleton": self.skeleton.describe(),
                "size": list(self.size),
                "padding": self.padding,
                "run": self.run,
                "data": list(self.data),
                "licence": self.licence,
                "metrics": self.metrics,
                "calibration": self.calibration,
                "precision": self.precision,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Raises ValueError or KeyError on what `to_json` did not write."""
        return cls.from_tree(json.loads(text))

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> "Card":
        """The same of the parsed text, as a registry keeps it."""
        if tree["format"] != FORMAT:
            raise ValueError(f"format {tree['format']!r}, this code reads {FORMAT!r}")
        H, W = tree["size"]
        return cls(
            branch=tree["branch"],
            skeleton=from_description(tree["skeleton"]),
            size=(int(H), int(W)),
            padding=float(tree["padding"]),
            run=tree["run"],
            data=tuple(tree["data"]),
            licence=tree["licence"],
            metrics=tree["metrics"],
            calibration=tree.get("calibration"),
            precision=tree.get("precision", FULL),
        )


@dataclass(frozen=True)
class Pose:
    """One person's answer. keypoints_img: float64 `[K, 3]`: x, y in image pixels and score.

    visible: float64 `[K]`: the probability that the joint is seen and not hidden; NaN where nothing
    is known of that joint, None where the student's data did not know.
    """

    box: Box
    keypoints_img: NDArray[np.float64]
    score: float  # mean of the joints' scores
    visible: NDArray[np.float64] | None = None


def available(provider: str) -> str:
    """ONNX Runtime's own name of one of `PROVIDERS`. Raises ModelUnusable where it has it not."""
    wanted = PROVIDERS.get(provider)
    if wanted is None:
        raise ModelUnusable(f"unknown provider {provider!r}; accepted: {', '.join(PROVIDERS)}")
    if wanted not in onnxruntime.get_available_providers():
        raise ModelUnusable(
            f"{wanted} is not in the installed ONNX Runtime, which has "
            f"{', '.join(onnxruntime.get_available_providers())}"
        )
    return wanted


class Predictor:
    """A student in memory; safe to call from several threads."""

    def __init__(
        self, path: Path, *, provider: str = "cpu", threads: int | None = None, spin: bool = True
    ) -> None:
        """Raises ModelUnusable: not one of our files, or its provider is not to be had here.

        threads: of ONNX Runtime within one inference; None leaves it to ONNX Runtime. spin: its
        threads wait for each other at work, which is a little faster where nobody else wants the
        cores.
        """
        wanted = available(provider)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        if not spin:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if provider != "cpu":
            # CUDA's libraries come from pip and lie where the system's loader does not look.
            onnxruntime.preload_dlls(directory="")
        # ONNX Runtime's own format would pass by the check.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            content = path.read_bytes()  # once: what was checked is what is loaded
            only_computes(content, path.name)
            self._session = onnxruntime.InferenceSession(content, options, providers=[wanted])
        except ModelUnusable:
            raise
        except Exception as error:  # ONNX Runtime's own kinds share no base class
            raise ModelUnusable(f"{path.name} is not a model that ONNX Runtime can load") from error
        self.provider: str = self._session.get_providers()[0]
        if self.provider != wanted:
            raise ModelUnusable(f"asked for {wanted}, ONNX Runtime took {self.provider}")
        try:
            metadata = self._session.get_modelmeta().custom_metadata_map
            self.card = Card.from_json(metadata[METADATA_KEY])
        except Exception as error:  # whatever a stranger's text does to the parser
            raise ModelUnusable(f"{path.name} is not a student of okdhp: {error}") from error
        self._try(path.name)

    def _try(self, name: str) -> None:
        """One inference: the first is slow, and shows whether the card is this network's."""
        try:
            told = self.card.tells_visible
            found = self.infer(np.zeros((1, *self.card.size, 3), np.uint8), visible=told).shape
        except Exception as error:  # ONNX Runtime's own kinds share no base class
            raise ModelUnusable(f"{name} does not compute what its card says") from error
        if found != (needed := (1, len(self.card.skeleton), 4 if told else 3)):
            raise ModelUnusable(
                f"{name} answers a crop with numbers {list(found)}; "
                f"its skeleton needs {list(needed)}"
            )

    def infer(
        self,
        crops: NDArray[np.uint8],
        *,
        flip_test: bool | NDArray[np.bool_] = False,
        visible: bool = False,
    ) -> NDArray[np.float32]:
        """crops uint8 RGB `[N, H, W, 3]` to `[N, K, 3]`: x, y in crop pixels and score.

        flip_test: whether the mirrored crop is averaged in, for all or for each `[N]`. visible:
        with the probability that the joint is seen, `[N, K, 4]`; where the card `tells_visible`.
        """
        rows = np.flatnonzero(np.broadcast_to(flip_test, len(crops)))
        feed: dict[str, NDArray[Any]] = {"image": crops}
        if len(rows):
            feed["mirrored"] = rows.astype(np.int64)
        keypoints: NDArray[np.float32]
        if not visible:
            (keypoints,) = self._session.run([KEYPOINTS], feed)
            return keypoints
        keypoints, chance = self._session.run([KEYPOINTS, VISIBLE], feed)
        return np.concatenate([keypoints, chance[..., None]], -1)

    def crop_around(self, box_img: Box) -> Crop:
        """The crop that this student wants to see of a person."""
        return Crop.around(box_img, self.card.size, padding=self.card.padding)

    def predict(
        self, image: Image.Image, boxes: Sequence[Box], *, flip_test: bool = False
    ) -> list[Pose]:
        """The pose in each box of an upright RGB image. Raises BoxInvalid."""
        check_on_image(boxes, (image.height, image.width))
        if not boxes:
            return []
        crops = [self.crop_around(box) for box in boxes]
        pixels = np.stack([crop.cut(image) for crop in crops])
        keypoints = self.infer(pixels, flip_test=flip_test, visible=self.card.tells_visible)
        return [as_pose(b, c, k) for b, c, k in zip(boxes, crops, keypoints, strict=True)]


def as_pose(box: Box, crop: Crop, keypoints_crop: NDArray[np.float32]) -> Pose:
    """Keypoints of a crop as a pose on the image: `[K, 3]`, or `[K, 4]` with `visible`."""
    keypoints = keypoints_crop[:, :3].astype(np.float64)
    keypoints[:, :2] = crop.to_image(keypoints[:, :2])
    visible = keypoints_crop[:, 3].astype(np.float64) if keypoints_crop.shape[1] > 3 else None
    return Pose(box, keypoints, float(keypoints[:, 2].mean()), visible)
