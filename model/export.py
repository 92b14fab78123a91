"""A branch as a self-contained ONNX file: pixels in, keypoints out.

Input `image` uint8 `[N, H, W, 3]`; output `keypoints` float32 `[N, K, 3]` (x, y in crop pixels and
score), and `visible` where the validation people tell it (`model.calibration_file`). An input that
may be left out, `mirrored` int64 `[F]`, names the rows of the batch for which the mirror's density
is averaged in (flip test), so one file and one batch serve both kinds.
"""

import logging
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.calibration import ScoreMap
from model.calibration_file import put_map
from model.config import Config
from model.errors import ModelUnusable
from model.files import write_with
from model.geometry import map_to_crop
from model.heatmaps import decode, density
from model.network import Student
from model.predictor import METADATA_KEY, Card, Predictor
from model.skeletons import Skeleton

OPSET: Final = 18

# It tells of operators of torchvision, which is not used, at every export.
logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)


class Deployed(nn.Module):
    """A student with all that stands round it in the file."""

    def __init__(self, student: Student, config: Config, skeleton: Skeleton) -> None:
        super().__init__()
        self.student, self.config = student, config
        self.register_buffer("order", torch.from_numpy(skeleton.flip_order))
        self.order: Tensor

    def forward(self, image: Tensor, mirrored: Tensor) -> Tensor:
        """image uint8 `[N, H, W, 3]`, mirrored int64 `[F]` to `[N, K, 3]`."""
        target = self.config.target
        pixels = image.permute(0, 3, 1, 2).float()
        N = pixels.shape[0]
        both = torch.cat([pixels, pixels[mirrored].flip(-1)])
        densities = density(self.student(both), target.term)
        plain, turned = densities[:N], densities[N:][:, self.order].flip(-1)
        # Rows that have no mirror are divided by one, the others by two.
        total = plain.index_add(0, mirrored, turned)
        ones = torch.ones_like(plain[:, :1, :1, :1])
        count = ones.index_add(0, mirrored, torch.ones_like(turned[:, :1, :1, :1]))
        points = decode(
            total / count, self.config.evaluation.decoder, target.term, target.sigma_cells
        )
        return torch.cat([map_to_crop(points[..., :2]), points[..., 2:]], -1)


def export_student(
    student: Student,
    config: Config,
    skeleton: Skeleton,
    card: Card,
    path: Path,
    scores: ScoreMap | None = None,
) -> None:
    """Write the file, with a map from scores to probabilities where there is one.

    Raises ModelUnusable where the exporter's result breaks its own contract."""
    deployed = Deployed(student, config, skeleton).float().cpu().eval()
    H, W = config.data.crop_px
    example = (torch.zeros(3, H, W, 3, dtype=torch.uint8), torch.tensor([0, 2]))
    batch, flips = torch.export.Dim("N"), torch.export.Dim("F")
    with torch.no_grad(), warnings.catch_warnings():
        # torch's own deprecated calls, which a user can do nothing about
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            deployed,
            example,
            input_names=["image", "mirrored"],
            output_names=["keypoints"],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({0: batch}, {0: flips}),
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    _without_traces(graph)
    _default_to_no_mirror(graph)
    if scores is not None:
        put_map(graph, scores)
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, card.to_json()
    onnx.checker.check_model(graph)
    own = {node.domain for node in graph.graph.node} - {"", "ai.onnx"}
    if own:
        raise ModelUnusable(f"the exported file needs operators of {', '.join(sorted(own))}")
    write_with(path, lambda file: file.write(graph.SerializeToString()))


def _without_traces(graph: Any) -> None:
    """The exporter leaves stack traces with this machine's paths on every node."""
    body = graph.graph
    del body.metadata_props[:]
    for part in (*body.node, *body.input, *body.output, *body.value_info, *body.initializer):
        del part.metadata_props[:]


def _default_to_no_mirror(graph: Any) -> None:
    """An initialiser of the input's name makes the input one that may be left out."""
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(0, np.int64), "mirrored"))


def parity(
    predictor: Predictor, crops: NDArray[np.uint8], reference: NDArray[np.float32]
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """The file's answers `[P, K, 3]` through the code that serves, and how far from PyTorch's.

    reference: `[P, K, 3]` of `model.training.outcome.judge.keypoints`. Distances are in crop
    pixels. The share of joints that moved by half a pixel or more tells an exporter's fault from
    two equal peaks that rounding orders differently.
    """
    found = np.concatenate([predictor.infer(crops[i : i + 64]) for i in range(0, len(crops), 64)])
    distance = np.linalg.norm(found[..., :2] - reference[..., :2], axis=-1)
    return found, {
        "people": len(crops),
        "largest_px": round(float(distance.max()), 4),
        "share_moved_half_a_px": round(float((distance >= 0.5).mean()), 6),
        "largest_score_change": round(float(np.abs(found[..., 2] - reference[..., 2]).max()), 5),
    }
