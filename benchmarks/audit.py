"""How many planted errors an audit of labels finds: prints precision and recall.

    python benchmarks/audit.py synthetic [--out DIR]
    python benchmarks/audit.py lsp --data ../shared/data [--out DIR]

Of all labels 5 % are made wrong: half of these by exchanging left and right of a pair that lies
apart, half by a shift. Two runs learn from one half of the people each, planted errors and all
(`lsp`: and from LSPET, which has its own). Then all labels are audited twice: each person by the
run that has not learnt from him, and by the one that has. With --out everything is kept, and what
has been trained there is not trained again; the pictures are worth a look.

Counted are audit.csv's first hundred lines and its suspect labels. Of photographs the figures are
bounds: a label that was wrong before counts as right.
"""

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model.audit.audit import TABLE, Judge, audit
from model.config import SourceConfig, load_config
from model.data.label_weights import FILE, LabelWeights
from model.data.person import Person
from model.data.readers import READERS
from model.data.synthetic import draw_people
from model.geometry import Box
from model.skeletons import LSP14, MPII16, Skeleton
from model.training.run import train

SHARE = 0.05  # of the labels that are made wrong
APART = 0.12  # body sizes, at least, between labels that are exchanged
SHIFT = (0.15, 0.45)  # body sizes; a torso has about 0.3
SWAP, FAR = 1, 2
FIRST = 100

RUN: dict[str, Any] = {
    "preset": "tiny",
    "data": {"crop_px": [64, 64]},
    "network": {"depth": 3, "branches": [{}, {}, {}]},
    "evaluation": {"every_epochs": 4},
    "training": {"batch_size": 32, "ema_decay": 0.99},
    "export": {"branch": "branch0"},
}


@dataclass(frozen=True)
class Planted:
    """A set with errors. kind: `[P, K]`, 0 for labels that were left as they were."""

    source: SourceConfig
    skeleton: Skeleton
    kind: NDArray[np.int64]

    @property
    def halves(self) -> tuple[SourceConfig, SourceConfig]:
        middle = len(self.kind) // 2
        return (
            self.source.model_copy(update={"people": middle}),
            self.source.model_copy(update={"skip": middle}),
        )


def plant(
    people: Sequence[Person], skeleton: Skeleton, rng: np.random.Generator
) -> tuple[list[Person], NDArray[np.int64]]:
    """The people with wrong labels, and which those are."""
    joints = np.stack([person.joints_img for person in people])
    wrong, labelled = joints.copy(), joints[..., 2] > 0
    size = np.array([max(p.box_img.width, p.box_img.height) for p in people])
    kind = np.zeros(labelled.shape, np.int64)
    other = skeleton.flip_order
    apart = np.linalg.norm(joints[..., :2] - joints[:, other, :2], axis=-1) / size[:, None]
    pairs = labelled & labelled[:, other] & (apart >= APART) & (other > np.arange(len(skeleton)))
    count = round(SHARE * labelled.sum())
    for p, k in rng.permutation(np.argwhere(pairs))[: count // 4]:
        wrong[p, [k, other[k]]] = joints[p, [other[k], k]]
        kind[p, [k, other[k]]] = SWAP
    for p, k in rng.permutation(np.argwhere(labelled & (kind == 0)))[: count - (kind > 0).sum()]:
        turn, far = rng.uniform(0, 2 * np.pi), rng.uniform(*SHIFT) * size[p]
        wrong[p, k, :2] += far * np.array([np.cos(turn), np.sin(turn)])
        kind[p, k] = FAR
    return [replace(p, joints_img=row) for p, row in zip(people, wrong, strict=True)], kind


def write_coco(people: Sequence[Person], skeleton: Skeleton, folder: Path) -> SourceConfig:
    """The people as a COCO folder; photographs are linked, not copied."""
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    images, annotations = [], []
    for i, person in enumerate(people):
        name = f"{i:05d}.png" if person.pixels is not None else person.image.name
        file = folder / "images" / name
        if person.pixels is not None:
            Image.fromarray(person.pixels).save(file)
        elif not file.exists():
            file.symlink_to(person.image.resolve())
        joints = person.joints_img.astype(float) * [1, 1, 2]
        images.append({"id": i, "file_name": name})
        annotations.append(
            {
                "id": i,
                "image_id": i,
                "category_id": 1,
                "bbox": person.box_img.as_list(),
                "keypoints": joints.ravel().tolist(),
            }
        )
    category = {
        "id": 1,
        "name": skeleton.name,
        "keypoints": skeleton.joints,
        "sigmas": skeleton.sigmas,
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.limb_indices],
    }
    content = {"images": images, "annotations": annotations, "categories": [category]}
    (folder / "annotations" / "person_keypoints_train.json").write_text(json.dumps(content))
    return SourceConfig(format="coco", path=folder, split="train")


def synthetic(out: Path, data: Path) -> tuple[Planted, dict[str, Any]]:
    """4,000 figures; a run is 80,000 crops, some 10 minutes of one core."""
    people, kind = plant(draw_people(4000, seed=11, size_px=96), MPII16, np.random.default_rng(5))
    spec = RUN | {
        "data": {
            **RUN["data"],
            "padding": 0.1,
            "valid": [{"format": "synthetic", "people": 200, "seed": 2, "size_px": 96}],
        },
        "network": {**RUN["network"], "width": 32},
        "training": {**RUN["training"], "epochs": 40},
    }
    return Planted(write_coco(people, MPII16, out / "set"), MPII16, kind), spec


def lsp(out: Path, data: Path) -> tuple[Planted, dict[str, Any]]:
    """LSP's training people; their boxes are about their labels, also about wrong ones."""
    people = READERS["lsp"](data / "lsp", "train").people
    wrong, kind = plant(people, LSP14, np.random.default_rng(5))
    boxed = [replace(p, box_img=Box.around(p.joints_img[p.labelled, :2])) for p in wrong]
    spec = RUN | {
        "data": {
            **RUN["data"],
            "skeleton": "lsp14",
            "padding": 0.15,
            "train": [{"format": "lsp", "path": str(data / "lspet"), "split": "train"}],
            "valid": [{"format": "lsp", "path": str(data / "lsp"), "split": "valid"}],
        },
        "network": {**RUN["network"], "width": 40},
        "augment": {"rotation_deg": 30, "rotation_share": 0.6, "scale": 0.2, "shift": 0.03},
        "optim": {"lr": 4e-3},
        "training": {**RUN["training"], "epochs": 9, "ema_decay": 0.995},
    }
    return Planted(write_coco(boxed, LSP14, out / "set"), LSP14, kind), spec


def learn(planted: Planted, spec: dict[str, Any], half: int, out: Path) -> Path:
    """The best.pt of a run on one half."""
    folder = out / f"run{half}"
    own = planted.halves[half].model_dump(mode="json")
    config = load_config(
        {**spec, "data": {**spec["data"], "train": [*spec["data"].get("train", []), own]}}
    )
    if not (folder / "metrics.json").exists():
        say(f"training {folder}")
        train(config, folder, resume=(folder / "events.jsonl").exists(), device="cpu")
    best = json.loads((folder / "metrics.json").read_text())["best"]
    say(f"{folder.name}: {best['metric']} {best['score']:.1f} ({best['branch']})")
    return folder / "checkpoints" / "best.pt"


def report(planted: Planted, name: str, folder: Path) -> None:
    """What the written files found of what was planted."""
    kind, joints = planted.kind, planted.skeleton.joints
    with (folder / TABLE).open(newline="") as file:
        table = list(csv.DictReader(file))
    at = [(int(row["person"]), joints.index(row["joint"])) for row in table]
    hits = np.array([kind[place] > 0 for place in at])
    suspect = np.zeros(kind.shape, np.bool_)
    for place, row in zip(at, table, strict=True):
        suspect[place] = row["class"] == "suspect"
    (weights,) = LabelWeights.read(folder / FILE).sets.values()
    say(f"{name}: of the first {FIRST} {hits[:FIRST].sum()} are planted", end="")
    say(f", of the first {2 * FIRST} {hits[: 2 * FIRST].sum()}")
    found = [
        f"{label} {suspect[kind == k].mean():.1%}"
        for k, label in ((SWAP, "swaps"), (FAR, "shifts"))
    ]
    say(
        f"  suspect: {suspect.sum()} labels, precision {(kind[suspect] > 0).mean():.1%}, "
        f"recall {suspect[kind > 0].mean():.1%} ({', '.join(found)})"
    )
    say(
        f"  mean weight: planted {weights[kind > 0].mean():.3f}, "
        f"others {weights[kind == 0].mean():.3f}"
    )


def say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["synthetic", "lsp"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        out = (given.out or Path(scratch)).absolute()
        planted, spec = {"synthetic": synthetic, "lsp": lsp}[given.what](out, given.data.absolute())
        kind, halves = planted.kind, planted.halves
        say(f"{given.what}: {len(kind)} people, {(kind == SWAP).sum()} labels exchanged, ", end="")
        say(f"{(kind == FAR).sum()} shifted")
        runs = [learn(planted, spec, half, out) for half in (0, 1)]
        # Judged by the other half's run; and, as if each had learnt from the other's people, by
        # the run that knows the labels.
        for name, taught in (("unseen", halves), ("known", halves[::-1])):
            judges = [
                Judge(f"run{i}", run, (source,))
                for i, (run, source) in enumerate(zip(runs, taught, strict=True))
            ]
            audit(judges, [planted.source], out / name, device="cpu")
            report(planted, name, out / name)


if __name__ == "__main__":
    main()
