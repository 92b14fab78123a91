"""What is measured of an exported student through the code that serves it, in a receipt's terms.

No torch: whoever has the file and the photographs can measure it again.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model.cores import cores
from model.data.check import fingerprint
from model.data.packing import exact_crops
from model.data.readers import LabelledSet
from model.errors import ModelUnusable
from model.evaluation import PCK_METRICS, answers, compared, hits_of, measure, on_images
from model.geometry import Crops
from model.latency import device_name, interleaved_ms
from model.metrics.calibration import BINS, reliability
from model.predictor import PROVIDERS, Predictor
from model.receipt import Accuracy, Bin, Calibration, Figure, Latency
from model.skeletons import Skeleton

BATCHES: Final = (1, 8)
_LONGEST_S: Final = 5.0


@dataclass(frozen=True)
class Exam:
    """Labelled people, cut out as a student wants to see them. crops: uint8 `[P, H, W, 3]`."""

    labelled: LabelledSet
    fingerprint: str
    crops: NDArray[np.uint8]
    ways: Crops


@dataclass(frozen=True)
class Sat:
    """An exam that a student has sat. keypoints_img: `[P, K, 3]` in the student's skeleton."""

    exam: Exam
    skeleton: Skeleton
    keypoints_img: NDArray[np.float64]
    flip_test: bool
    answered_by: str

    def accuracy(self, *, chosen_on: bool) -> Accuracy:
        """Every metric that the set allows. chosen_on: as `Accuracy` has it."""
        labelled = self.exam.labelled
        return Accuracy(
            data=labelled.name,
            people=len(labelled.people),
            fingerprint=self.exam.fingerprint,
            flip_test=self.flip_test,
            chosen_on=chosen_on,
            answered_by=self.answered_by,
            metrics=figures(measure(self.keypoints_img, self.skeleton, labelled)),
        )

    def calibration(self) -> Calibration | None:
        """Within the tolerance of the first PCK metric that the set allows; None where none is."""
        labelled = self.exam.labelled
        scores = compared(self.keypoints_img, self.skeleton, labelled)[0][..., 2]
        for metric in PCK_METRICS:
            of = hits_of(self.keypoints_img, self.skeleton, labelled, metric)
            if of.counted.any():
                break
        else:
            return None
        told = reliability(scores, of.found, of.counted)
        return Calibration(
            data=labelled.name,
            people=len(labelled.people),
            fingerprint=self.exam.fingerprint,
            flip_test=self.flip_test,
            tolerance=metric,
            joints=int(told.joints.sum()),
            ece=round(told.ece, 4),
            bins=tuple(
                Bin(
                    low=i / BINS,
                    high=(i + 1) / BINS,
                    joints=int(joints),
                    score=round(float(score), 4) if joints else None,
                    found=round(float(found), 4) if joints else None,
                )
                for i, (joints, score, found) in enumerate(
                    zip(told.joints, told.score, told.found, strict=True)
                )
            ),
        )


def prepared(labelled: LabelledSet, crop_px: tuple[int, int], padding: float) -> Exam:
    """Raises DatasetError naming the photograph that cannot be read."""
    return Exam(labelled, fingerprint(labelled), *exact_crops(labelled.people, crop_px, padding))


def sat(predictor: Predictor, exam: Exam, *, flip_test: bool) -> Sat:
    """The student's answers to everybody."""
    found = answers(predictor, exam.crops, flip_test=flip_test)
    return sat_with(predictor, exam, found, flip_test=flip_test)


def sat_with(
    predictor: Predictor, exam: Exam, found: NDArray[np.float32], *, flip_test: bool
) -> Sat:
    """The same with answers that are there already. found: `[P, K, 3]` in crop pixels."""
    provider = next(name for name, full in PROVIDERS.items() if full == predictor.provider)
    return Sat(
        exam=exam,
        skeleton=predictor.card.skeleton,
        keypoints_img=on_images(found, exam.ways),
        flip_test=flip_test,
        answered_by=f"ONNX Runtime, {provider}",
    )


def figures(result: dict[str, Any]) -> dict[str, Figure]:
    """The numbers of `model.evaluation.measure`, each with its interval where it has one."""
    found = {
        name: Figure(value=round(values["mean"], 3), interval_95=_rounded(values["mean_95"]))
        for name, values in result.items()
        if name in PCK_METRICS and values["mean"] is not None
    }
    if "AP" in result and result["AP"]["AP"] is not None:
        found["AP"] = Figure(value=round(result["AP"]["AP"], 4))
    return found


def latencies(
    files: Sequence[Path], *, provider: str | None = None, batches: Sequence[int] = BATCHES
) -> list[list[Latency]]:
    """Of each file, by provider and batch, on this machine; measured side by side.

    provider: of `model.predictor.PROVIDERS`; by default the CPU, and CUDA where it is to be had.
    The CPU has a thread for every core. Raises ModelUnusable.
    """
    told: list[list[Latency]] = [[] for _ in files]
    for name in _providers(files) if provider is None else (provider,):
        threads = cores() if name == "cpu" else None
        students = [Predictor(file, provider=name, threads=threads) for file in files]
        for batch in batches:
            medians = interleaved_ms(students, batch=batch, longest_s=_LONGEST_S)
            for of, ms in zip(told, medians, strict=True):
                of.append(
                    Latency(
                        device=device_name(name),
                        provider=name,
                        threads=threads,
                        batch=batch,
                        median_ms=round(ms, 3),
                    )
                )
    return told


def _providers(files: Sequence[Path]) -> Iterator[str]:
    """Those that can run the files here."""
    yield "cpu"
    if PROVIDERS["cuda"] in onnxruntime.get_available_providers():
        # A runtime with CUDA may be installed where no GPU is.
        with contextlib.suppress(ModelUnusable):
            Predictor(files[0], provider="cuda")
            yield "cuda"


def _rounded(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (round(interval[0], 3), round(interval[1], 3))
