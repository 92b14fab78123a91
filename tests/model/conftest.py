"""A small configuration for every test, and one run that is trained once and looked at by many."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from model.config import Config, load_config, merge, parse_overrides
from model.data.person import Person
from model.skeletons import Skeleton
from model.training.run import Outcome, train

# The same examples on every machine, and no limit that a busy one would break.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

MakeConfig = Callable[..., Config]
WriteCoco = Callable[..., Path]

SMALL: dict[str, Any] = {
    # Not square, unbalanced in stacks and width: what is confused shows.
    "data": {
        "crop_px": [64, 48],
        "padding": 0.1,
        "train": [{"format": "synthetic", "people": 11, "seed": 1, "size_px": 64}],
        "valid": [{"format": "synthetic", "people": 4, "seed": 2, "size_px": 64}],
    },
    "network": {
        "width": 8,
        "depth": 2,
        "branches": [{"name": "pico"}, {"name": "nano", "stacks": 2, "width": 12}],
    },
    "optim": {"lr": 1e-3},
    "training": {"epochs": 5, "batch_size": 4, "ema_decay": 0.9},
}
LEARNING: dict[str, Any] = {
    "data": {
        "crop_px": [96, 64],
        "padding": 0.05,
        "train": [{"format": "synthetic", "people": 400, "seed": 1, "size_px": 96}],
        "valid": [{"format": "synthetic", "people": 60, "seed": 2, "size_px": 96}],
    },
    "augment": {"rotation_deg": 10, "scale": 0.1, "colour": 0.1},
    "network": {
        "width": 24,
        "depth": 3,
        "branches": [{"name": "wide"}, {"name": "slim", "width": 16}],
    },
    "target": {"sigma_cells": 1, "term": "ce"},
    "scheme": {
        "lambda_ens": 1,
        "lambda_kd": 1,
        "kl_mean": "joints",
        "detach": True,
        "ramp_epochs": 2,
        "fau": {"fields": "dilation"},
    },
    "optim": {"optimizer": "adamw", "lr": 6e-3, "schedule": "cosine", "clip_norm": 5},
    "training": {"epochs": 6, "batch_size": 16, "ema_decay": 0.98},
    "export": {"branch": "all"},
}


@pytest.fixture(scope="session")
def make_config() -> MakeConfig:
    """The small configuration with changes: `make_config("network.depth=1", …)`."""

    def make(*overrides: str) -> Config:
        return load_config(merge(copy.deepcopy(SMALL), parse_overrides(overrides)))

    return make


@dataclass(frozen=True)
class Run:
    """A finished run, in its folder and as it was told."""

    folder: Path
    config: Config
    outcome: Outcome
    told: list[dict[str, Any]]  # the events as the listener got them

    @property
    def events(self) -> list[dict[str, Any]]:
        return read_events(self.folder)

    def student(self, branch: str) -> Path:
        return self.folder / "students" / f"{branch}.onnx"


def read_events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """150 steps on the synthetic set with two students: enough for maps that have peaks."""
    folder = tmp_path_factory.mktemp("runs") / "learning"
    config = load_config(LEARNING)
    told: list[dict[str, Any]] = []
    outcome = train(config, folder, device="cpu", listen=told.append)
    return Run(folder, config, outcome, told)


@pytest.fixture(scope="session")
def write_coco() -> WriteCoco:
    """Drawn people as a COCO folder: `write_coco(folder, people, skeleton, **category)`."""

    def write(folder: Path, people: list[Person], skeleton: Skeleton, **category: object) -> Path:
        (folder / "annotations").mkdir(parents=True)
        (folder / "images").mkdir()
        images, annotations = [], []
        for i, person in enumerate(people, start=1):
            assert person.pixels is not None
            Image.fromarray(person.pixels).save(folder / "images" / f"{i}.png")
            height, width, _ = person.pixels.shape
            images.append({"id": i, "file_name": f"{i}.png", "width": width, "height": height})
            keypoints = np.where(person.labelled[:, None], person.joints_img, 0).astype(float)
            keypoints[:, 2] *= 2
            annotations.append(
                {
                    "id": i,
                    "image_id": i,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": person.box_img.as_list(),
                    "area": person.box_img.width * person.box_img.height / 2,
                    "num_keypoints": int(person.labelled.sum()),
                    "keypoints": keypoints.flatten().tolist(),
                }
            )
        content = {
            "images": images,
            "annotations": annotations,
            "categories": [
                {"id": 1, "name": "person", "keypoints": list(skeleton.joints)} | category
            ],
        }
        file = folder / "annotations" / "person_keypoints_train.json"
        file.write_text(json.dumps(content))
        return folder

    return write
