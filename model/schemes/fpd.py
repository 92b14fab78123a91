"""`fpd`: Fast Pose Distillation, a trained teacher's maps in a second stage (CVPR 2019).

Zhang et al., *Fast Human Pose Estimation*, arXiv:1811.05419; `lib/core/{function,loss}.py` of
ilovepose/fast-human-pose-estimation.pytorch at ae22923: both terms are the half squared error of
labelled joints, summed over the student's stacks, the teacher's last map the target of each;
α 0.5, no ramp. The teacher is a run of ours.

Where ours goes beyond: with `target.term: ce` maps are logits, and the teacher's term is the KL to
its distribution, mean over labelled joints. Several branches learn side by side, each as alone.
"""

from torch import Tensor

from model.config.scheme import FpdConfig
from model.losses import SoftTargets, Whole, distillation_loss, label_loss
from model.network import BranchMaps
from model.schemes.base import Losses, Scheme


class Fpd(Scheme[FpdConfig]):
    """(1 − α) · Σ gt(Z, G) + α · Σ gt(Z, Z_teacher)."""

    teacher = "run"

    def forward(
        self,
        maps: BranchMaps,
        target: Tensor,
        seen: Tensor,
        ramp: float,
        teacher: Tensor | None = None,
        whole: Whole | None = None,
    ) -> Losses:
        """teacher: in the maps' units, so of a run with the same `target.term`."""
        every, theirs, alpha = maps.every, self.taught_by(teacher), self.options.alpha
        label = label_loss(every, target, seen, self.term, whole)
        return Losses(
            label=(1 - alpha) * label,
            ensemble=label.new_zeros(()),
            distill=alpha * self._mimicry(every, theirs, seen, whole),
        )

    def _mimicry(self, every: Tensor, teacher: Tensor, seen: Tensor, whole: Whole | None) -> Tensor:
        if self.term == "mse":
            return label_loss(every, teacher, seen, "mse", whole)
        temperature = self.options.temperature
        soft = SoftTargets.of(teacher[None], temperature)
        return distillation_loss(
            every, soft, seen, temperature=temperature, mean="joints", whole=whole
        )

    def ensemble(self, maps: BranchMaps) -> Tensor:
        return maps.last.float().mean(0)
