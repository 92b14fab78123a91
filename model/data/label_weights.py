"""How far each label of a set is believed: a file that an audit writes and a training takes.

An `.npz` without pickles: `joints`, the K joints' names, and for each set under its fingerprint
float32 `[P, K]` of 0 (as if not labelled) … 1, its people in the set's order.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from model.data.mixture import Mixture, Weighing
from model.data.person import Person
from model.errors import ConfigError, Fault
from model.files import replaced

WHERE: Final = "data.weights"
FILE: Final = "weights.npz"

_JOINTS: Final = "joints"
_ACCEPTED: Final = f"the {FILE} of an audit of the training data"


@dataclass(frozen=True)
class LabelWeights:
    """Weights float32 `[P, K]` of 0…1 by their set's fingerprint, in one skeleton's joints."""

    joints: tuple[str, ...]
    sets: Mapping[str, NDArray[np.float32]]

    def write(self, path: Path) -> None:
        """The file; equal weights make equal bytes."""
        content = io.BytesIO()
        arrays: dict[str, Any] = {_JOINTS: np.array(self.joints), **self.sets}
        np.savez_compressed(content, **arrays)
        with replaced(path) as file:
            file.write(content.getbuffer())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Nothing of the file is run. Raises ConfigError."""
        try:
            with np.load(path, allow_pickle=False) as file:
                content = {name: file[name] for name in file.files}
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
            # TypeError: a single array, `.npy`, is no archive that could be entered
            raise _refusal(f"{path.name} is not an .npz of arrays") from None
        joints = content.pop(_JOINTS, None)
        if joints is None or joints.ndim != 1 or joints.dtype.kind != "U":
            raise _refusal(f"{path.name} does not name its joints")
        for name, weights in content.items():
            if weights.ndim != 2 or weights.shape[1] != len(joints) or weights.dtype.kind != "f":
                raise _refusal(
                    f"{path.name}, set {name[:12]}: {weights.dtype} {list(weights.shape)} "
                    f"are not weights of {len(joints)} joints"
                )
            if not ((weights >= 0) & (weights <= 1)).all():  # NaN is neither
                raise _refusal(f"{path.name}, set {name[:12]}: a weight is not within 0…1")
        sets = {name: weights.astype(np.float32) for name, weights in content.items()}
        return cls(tuple(joints.tolist()), sets)

    def known(self, mixture: Mixture) -> tuple[str, ...]:
        """Names of the mixture's sets whose labels are weighed."""
        return tuple(o.name for o in mixture.origins if o.fingerprint in self.sets)

    def of(self, mixture: Mixture) -> NDArray[np.float32]:
        """Of every person of a mixture, `[P, K]`; 1 in a set that the file does not know.

        Raises ConfigError where it knows none of the sets, or other joints.
        """
        if self.joints != mixture.skeleton.joints:
            raise _refusal(
                f"its {len(self.joints)} joints are not the {len(mixture.skeleton)} of "
                f"{mixture.skeleton.name}, which the run learns"
            )
        if not self.known(mixture):
            names = ", ".join(mixture.sources)
            raise _refusal(f"it was made of other data than {names}")
        parts = []
        for origin in mixture.origins:
            weights = self.sets.get(origin.fingerprint)
            if weights is None:
                weights = np.ones((origin.people, len(self.joints)), np.float32)
            if len(weights) != origin.people:
                raise _refusal(f"it has {len(weights)} of the {origin.people} people {origin.name}")
            parts.append(weights)
        return np.concatenate(parts)


def believed(mixture: Mixture, path: Path) -> Mixture:
    """The people with every label's third value, 1 as read, as the file weighs it.

    Raises ConfigError.
    """
    file = LabelWeights.read(path)
    weights = file.of(mixture)

    def weighed(person: Person, by: NDArray[np.float32]) -> Person:
        joints = person.joints_img.copy()
        joints[:, 2] *= by
        return replace(person, joints_img=joints)

    people = [weighed(p, by) for p, by in zip(mixture.people, weights, strict=True)]
    return replace(
        mixture,
        people=people,
        weighing=Weighing(hashlib.sha256(weights.tobytes()).hexdigest(), file.known(mixture)),
    )


def _refusal(problem: str) -> ConfigError:
    return ConfigError([Fault(WHERE, problem, _ACCEPTED)])
