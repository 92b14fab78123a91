"""Who teaches beside the branches themselves: the averaged twin, or another run, frozen."""

from typing import Any, Final, Literal

import torch
from torch import Tensor

from model.config import Config
from model.config.scheme import FpdConfig
from model.errors import CheckpointUnusable, ConfigError, Fault
from model.files import sha256_of
from model.skeletons import Skeleton
from model.training.start.begin import BEST, local_file
from model.training.state.checkpoints import load_judged
from model.training.state.learner import ENSEMBLE, Learner

_KEY: Final = "scheme.teacher"


class Teacher:
    """Maps of a learner that does not learn here."""

    def __init__(
        self,
        learner: Learner,
        branch: str = ENSEMBLE,
        *,
        sha256: str = "",
        origin: dict[str, Any] | None = None,
    ) -> None:
        """sha256: of the weights' file, where they come from one. origin: for the manifest."""
        self.learner, self.branch, self.sha256 = learner, branch, sha256
        self.origin = origin or {}

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """crops `[N, 3, H, W]` of 0…255 to the branch's or the ensemble's map `[N, K, h, w]`."""
        maps = self.learner.network(images)
        if self.branch == ENSEMBLE:
            answer: Tensor = self.learner.scheme.ensemble(maps)
        else:
            answer = maps.last[self.learner.network.names.index(self.branch)]
        return answer.float()


def open_teacher(
    config: Config,
    skeleton: Skeleton,
    asked: Literal["none", "average", "run"],
    average: Learner,
    device: torch.device,
) -> Teacher | None:
    """The teacher that a scheme asks for. Raises ConfigError where the run does not fit ours."""
    if asked == "none":
        return None
    if asked == "average":
        return Teacher(average)
    assert isinstance(config.scheme, FpdConfig)
    path = local_file(config.scheme.teacher, _KEY, inside=(BEST,))
    try:
        theirs, their_skeleton, learner = load_judged(path, device)
    except CheckpointUnusable as error:
        accepted = "a finished run's folder or its best.pt"
        raise ConfigError([Fault(_KEY, str(error), accepted)]) from error
    branch = config.scheme.teacher_branch
    if faults := _misfits(config, skeleton, theirs, their_skeleton, branch):
        raise ConfigError(faults)
    sha256 = sha256_of(path)
    return Teacher(
        learner,
        branch,
        sha256=sha256,
        origin={"sha256": sha256, "branch": branch, "licence": theirs.export.licence},
    )


def _misfits(
    config: Config, skeleton: Skeleton, theirs: Config, their_skeleton: Skeleton, branch: str
) -> list[Fault]:
    """Why the student cannot learn from the teacher's maps, both sides named."""
    faults = []
    if their_skeleton.joints != skeleton.joints:
        faults.append(
            Fault(
                _KEY,
                f"it knows the {len(their_skeleton)} joints of {their_skeleton.name}, "
                f"the student learns the {len(skeleton)} of {skeleton.name}",
                f"a run of the skeleton {skeleton.name}",
            )
        )
    ours_px, theirs_px = list(config.data.crop_px), list(theirs.data.crop_px)
    if theirs_px != ours_px:
        faults.append(
            Fault(
                _KEY,
                f"it looks at crops of {theirs_px} pixels, the student at {ours_px}",
                f"a run with data.crop_px {ours_px}",
            )
        )
    if theirs.target.term != config.target.term:
        faults.append(
            Fault(
                _KEY,
                f"its maps are of the term {theirs.target.term}, "
                f"the student's of {config.target.term}",
                f"a run with target.term {config.target.term}",
            )
        )
    known = (*theirs.network.branch_names, ENSEMBLE)
    if branch not in known:
        faults.append(
            Fault("scheme.teacher_branch", f"the teacher has no {branch!r}", ", ".join(known))
        )
    return faults
