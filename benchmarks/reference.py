"""A training step as the paper's public code writes it: what `training.py` measures ours against.

After zhengli97/OKDHP at 452c71e (`lib/core/{loss,function_okd}.py`, `tools/train.py`) and the
`JointsDataset` of the HRNet line that it imports: a person at a time is read, warped and given
targets joint by joint on the CPU; losses go over maps and joints in Python; float32, channels
first, Adam unfused. The network is ours, so that both train the very same; Pillow stands for
OpenCV; and its division by 255 and normalisation are left out, since our network has its own.
"""

import random
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from model.config import Config
from model.data.packing import picture_of
from model.data.person import Person
from model.geometry import STRIDE, Crop
from model.network import FeatureAggregation, MultiBranch
from model.skeletons import Skeleton

LAMBDA_ENS = 6
LAMBDA_KD = 5


class People(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Every item is read, augmented and drawn anew: image `[3, H, W]`, target `[K, h, w]` and
    weight `[K, 1]`."""

    def __init__(self, people: Sequence[Person], skeleton: Skeleton, config: Config) -> None:
        self.people, self.skeleton = people, skeleton
        self.crop_px, self.padding = config.data.crop_px, config.data.padding
        self.augment, self.sigma = config.augment, config.target.sigma_cells

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        person, ours = self.people[i], self.augment
        flip = random.random() < ours.flip
        crop = Crop.around(
            person.box_img,
            self.crop_px,
            padding=self.padding,
            turn_deg=random.uniform(-ours.rotation_deg, ours.rotation_deg),
            zoom=random.uniform(1 - ours.scale, 1 + ours.scale),
            flip=flip,
        )
        pixels = crop.cut(picture_of(person)).copy()
        joints = person.joints_img[self.skeleton.flip_order] if flip else person.joints_img
        joints = joints.copy()
        for k in range(len(joints)):
            if joints[k, 2] > 0:
                joints[k, :2] = crop.matrix @ np.array([joints[k, 0], joints[k, 1], 1.0])
        target, weight = self._targets(joints)
        image = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float()
        return image, torch.from_numpy(target), torch.from_numpy(weight)

    def _targets(
        self, joints_crop: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A Gaussian around the nearest cell of each joint, within three sigmas."""
        h, w = (side // STRIDE for side in self.crop_px)
        target = np.zeros((len(joints_crop), h, w), np.float32)
        weight = joints_crop[:, 2:].copy()
        reach = int(3 * self.sigma)
        for k, (x, y, _) in enumerate(joints_crop):
            cx, cy = int(x / STRIDE + 0.5), int(y / STRIDE + 0.5)
            left, top, right, bottom = cx - reach, cy - reach, cx + reach + 1, cy + reach + 1
            if left >= w or top >= h or right < 0 or bottom < 0:
                weight[k] = 0
            if weight[k] == 0:
                continue
            at = np.arange(0, 2 * reach + 1, 1, np.float32)
            gaussian = np.exp(
                -((at - reach) ** 2 + (at[:, None] - reach) ** 2) / (2 * self.sigma**2)
            )
            rows, columns = slice(max(0, top), min(bottom, h)), slice(max(0, left), min(right, w))
            target[k, rows, columns] = gaussian[
                rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
            ]
        return target, weight


def joints_mse(maps: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Half the squared error, joint after joint: maps `[N, K, h, w]`, weight `[N, K, 1]`."""
    loss = maps.new_zeros(())
    for k in range(maps.shape[1]):
        found = maps[:, k].flatten(1).mul(weight[:, k])
        loss = loss + 0.5 * F.mse_loss(found, target[:, k].flatten(1).mul(weight[:, k]))
    return loss / maps.shape[1]


def joints_kl(maps: Tensor, ensemble: Tensor, weight: Tensor) -> Tensor:
    """KL(σ(T) ‖ σ(Z)), joint after joint, divided by people and cells."""
    loss = maps.new_zeros(())
    for k in range(maps.shape[1]):
        found = F.log_softmax(maps[:, k].flatten(1).mul(weight[:, k]), 1)
        wanted = F.softmax(ensemble[:, k].flatten(1).mul(weight[:, k]), 1)
        loss = loss + F.kl_div(found, wanted, reduction="none").sum()
    return loss / maps.shape[0] / (maps.shape[2] * maps.shape[3])


def losses(
    outputs: Sequence[Tensor], ensemble: Tensor, target: Tensor, weight: Tensor, ramp: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Label, ensemble and distillation, weighted; `outputs` are all maps of all branches."""
    hard = soft = ensemble.new_zeros(())
    for output in outputs:
        hard = hard + joints_mse(output, target, weight)
        soft = soft + joints_kl(output, ensemble, weight)
    return hard, LAMBDA_ENS * joints_mse(ensemble, target, weight), LAMBDA_KD * ramp * soft


class Reference:
    """The public code's loop over our network."""

    def __init__(self, config: Config, skeleton: Skeleton, device: torch.device) -> None:
        joints = len(skeleton)
        branches = len(config.network.branches)
        self.device = device
        self.network = MultiBranch.build(config.network, joints, config.training.seed)
        self.fau = FeatureAggregation(
            config.scheme.fau,  # type: ignore[union-attr]
            config.network.width,
            branches,
            joints,
        )
        self.modules = nn.ModuleList([self.network, self.fau]).to(device).train()
        self.optimizer = torch.optim.Adam(self.modules.parameters(), lr=config.optim.lr)

    def step(self, images: Tensor, target: Tensor, weight: Tensor) -> dict[str, float]:
        """One batch, as the loader collated it on the CPU."""
        images = images.to(self.device, non_blocking=True)
        target = target.to(self.device, non_blocking=True)
        weight = weight.to(self.device, non_blocking=True)
        self.optimizer.zero_grad()
        maps = self.network(images)
        shares = self.fau(maps.features)[..., None, None]  # N B K 1 1
        last = torch.cat([branch[-1].unsqueeze(1) for branch in maps.branches], 1)
        ensemble = (last * shares).sum(1)
        outputs = [output for branch in maps.branches for output in branch]
        hard, ens, soft = losses(outputs, ensemble, target, weight, ramp=1.0)
        (hard + ens + soft).backward()
        self.optimizer.step()
        # Shown beside the progress bar in every step.
        return {"label": hard.item(), "ensemble": ens.item(), "distill": soft.item()}
