"""How fast a training step is: ratios of arms that take turns in one process, medians of rounds.

    python benchmarks/training.py [--px 128] [--width 64] [--stacks 1] [--batch 32] [--rounds 15]
                                  [--threads 1] [--data lsp:../shared/data/lsp:train]

step: from decoded photographs to moved weights, against `reference.py` on the same network, batch
and threads; ours cuts people out once, before. end to end: from the photographs' files.
Ours is measured in the precision that `training.amp: auto` chooses here, and in float32. Where CUDA
is there, all of it is measured on it too, with --cuda-batch people, the reference with the four
loading processes of the public code.
"""

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reference import People, Reference, losses
from torch import Tensor
from torch.utils.data import DataLoader

from model.config import Config, load_config
from model.cores import cores
from model.data.feed import Feed
from model.data.mixture import in_skeleton
from model.data.packing import Pack, pack, picture_of
from model.data.person import Person
from model.data.synthetic import draw_people
from model.geometry import STRIDE, crop_to_map
from model.heatmaps import render
from model.losses import Whole
from model.network import BranchMaps
from model.skeletons import MPII16
from model.training.state.session import Session
from model.training.step import Step

OKDHP = {"name": "okdhp"}
WARM = 2
RAMP = 1.0


def config_of(
    options: argparse.Namespace,
    batch: int,
    *,
    branches: int = 3,
    scheme: Mapping[str, Any] = OKDHP,
    amp: str = "auto",
) -> Config:
    """The published OKDHP, or another scheme, at the size that was asked for."""
    source = [{"format": "synthetic"}]
    network = {"width": options.width, "depth": options.depth}
    return load_config(
        {
            "data": {"crop_px": [options.px] * 2, "train": source, "valid": source},
            "network": {**network, "branches": [{"stacks": options.stacks}] * branches},
            "scheme": dict(scheme),
            "training": {"batch_size": batch, "amp": amp},
        }
    )


class Ours:
    """Batches of a pack, one after another, through the training's own feed and step."""

    def __init__(self, config: Config, people: Pack, device: torch.device) -> None:
        self.session = Session(config, MPII16, device)
        self.step = Step(self.session)
        self.people, self.device = people, device
        self.batch = config.training.batch_size

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Endless, in an order of their own."""
        rows = (self._rows(n) for n in range(sys.maxsize))
        with closing(Feed(self.people, self.device).batches(rows)) as fed:
            yield from fed

    def train(self, pixels: Tensor, joints: Tensor) -> None:
        self.step(pixels, joints, people=self.batch, lr=1e-4, ramp=RAMP)
        self.session.progress.step += 1

    def _rows(self, n: int) -> Tensor:
        generator = torch.Generator().manual_seed(n)
        return torch.randint(len(self.people), (self.batch,), generator=generator)


def in_turns(arms: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every arm in every round; whatever else the machine does hurts all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for n in range(WARM + rounds):
        for name, arm in arms.items():
            began = time.perf_counter()
            arm()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if n >= WARM:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    return float(np.median(np.divide(slow, fast)))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def step_ratios(
    options: argparse.Namespace,
    batch: int,
    people: list[Person],
    packed: Pack,
    device: torch.device,
) -> None:
    """A step from pixels in memory: the reference against ours, in both precisions."""
    config = config_of(options, batch)
    reference = Reference(config, MPII16, device)
    drawn = People(people, MPII16, config)
    same_loss(drawn, config, batch)
    arms: dict[str, Callable[[], object]] = {}
    chosen: dict[str, str] = {}
    order = cycle(range(len(people)))

    def collated() -> tuple[Tensor, ...]:
        rows = zip(*(drawn[i] for i in islice(order, batch)), strict=True)
        return tuple(torch.stack(values) for values in rows)

    arms["reference"] = lambda: reference.step(*collated())
    arms["its warps and targets"] = collated
    for amp in ("auto", "fp32"):
        ours = Ours(config_of(options, batch, amp=amp), packed, device)
        batches = ours.batches()
        arms[f"ours, amp {amp}"] = lambda ours=ours, batches=batches: ours.train(*next(batches))
        chosen[amp] = ours.session.progress.amp
    seconds = in_turns(arms, options.rounds)
    ms = {name: 1e3 * float(np.median(values)) for name, values in seconds.items()}
    say(
        f"step: reference {ms['reference']:.0f} ms (warps and targets "
        f"{ms['its warps and targets']:.0f} ms), ours {ms['ours, amp auto']:.0f} ms with amp auto "
        f"({chosen['auto']}), {ms['ours, amp fp32']:.0f} ms in fp32"
    )
    for amp in ("auto", "fp32"):
        found = ratio(seconds["reference"], seconds[f"ours, amp {amp}"])
        say(f"step: reference / ours with amp {amp}: {found:.2f}")


def end_to_end(
    options: argparse.Namespace,
    batch: int,
    people: list[Person],
    packs: dict[str, Pack],
    device: torch.device,
) -> None:
    """A step from the photographs' files, and how long ours waits for its batch."""
    config = config_of(options, batch)
    reference = Reference(config, MPII16, device)
    loader: DataLoader[tuple[Tensor, Tensor, Tensor]] = DataLoader(
        People(people, MPII16, config),
        batch_size=batch,
        shuffle=True,
        drop_last=True,
        num_workers=4 if device.type == "cuda" else 0,
        pin_memory=device.type == "cuda",
    )

    def loaded() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        while True:
            yield from loader

    theirs = loaded()
    arms: dict[str, Callable[[], object]] = {"reference": lambda: reference.step(*next(theirs))}
    waits: dict[str, list[float]] = {}
    for place, packed in packs.items():
        waits[place] = []
        arms[place] = Waiting(Ours(config, packed, device), waits[place])
    seconds = in_turns(arms, options.rounds)
    say(
        f"end to end: reference {1e3 * np.median(seconds['reference']):.0f} ms, ours "
        f"{1e3 * np.median(seconds['in memory']):.0f} ms, reference / ours "
        f"{ratio(seconds['reference'], seconds['in memory']):.2f}"
    )
    for place in packs:
        share = 100 * np.divide(waits[place][WARM:], seconds[place])
        say(
            f"waiting for data, people {place}: {np.median(share):.2f} % of the step, "
            f"at most {share.max():.2f} %"
        )


class Waiting:
    """A step of ours that also notes for how many seconds its batch was waited for."""

    def __init__(self, ours: Ours, waits: list[float]) -> None:
        self.ours, self.batches, self.waits = ours, ours.batches(), waits

    def __call__(self) -> None:
        began = time.perf_counter()
        pixels, joints = next(self.batches)
        self.waits.append(time.perf_counter() - began)
        self.ours.train(pixels, joints)


def shares(options: argparse.Namespace, batch: int, packed: Pack, device: torch.device) -> None:
    """What the parts of our step take that are not the network's, forwards and backwards."""
    ours = Ours(config_of(options, batch), packed, device)
    step, session = ours.step, ours.session
    pixels, joints = next(ours.batches())
    images, joints_crop = step.crops(pixels, joints, batch)
    target = target_of(joints_crop, options, session.config)
    with torch.no_grad(), session.autocast():
        maps = session.learner.network(images)
    scheme = session.learner.scheme
    with torch.no_grad(), session.autocast():
        weights = scheme.fau(maps.features)

    def drawn() -> None:
        _, crops = step.crops(pixels, joints, batch)
        target_of(crops, options, session.config)

    def lost() -> None:
        """The loss of given maps and given weights over branches, and its gradient to both."""
        leaves = tuple(branch.detach().requires_grad_() for branch in maps.branches)
        given = weights.detach().requires_grad_()
        alone = BranchMaps(leaves, leaves[0][:0], maps.features, maps.branch_features)
        scheme.fau.forward = lambda _: given
        seen = joints_crop[..., 2]
        with session.autocast():
            found = scheme(alone, target, seen, RAMP, None, Whole(batch, seen.sum()))
        found.total.backward()
        del scheme.fau.forward

    seconds = in_turns(
        {
            "step": lambda: ours.train(pixels, joints),
            "augmentation and targets": drawn,
            "losses": lost,
        },
        options.rounds,
    )
    for name in ("augmentation and targets", "losses"):
        say(f"{name}: {100 / ratio(seconds['step'], seconds[name]):.1f} % of the step")


def three_at_once(
    options: argparse.Namespace, batch: int, packed: Pack, device: torch.device
) -> None:
    """Three students at once with OKDHP against three runs of one student each."""
    one = Ours(config_of(options, batch, branches=1, scheme={"name": "none"}), packed, device)
    faus = {
        "published FAU": {},
        "FAU at every second cell": {"stride": 2},
        "FAU by dilation": {"fields": "dilation"},
    }
    three = {
        name: Ours(config_of(options, batch, scheme={**OKDHP, "fau": fau}), packed, device)
        for name, fau in faus.items()
    }
    pixels, joints = next(one.batches())
    seconds = in_turns(
        {
            name: lambda ours=ours: ours.train(pixels, joints)
            for name, ours in {"one": one, **three}.items()
        },
        options.rounds,
    )
    single_ms = 1e3 * float(np.median(seconds["one"]))
    for name in three:
        joint_ms = 1e3 * float(np.median(seconds[name]))
        say(
            f"three students by OKDHP, {name}: {joint_ms:.0f} ms a step, one alone "
            f"{single_ms:.0f} ms, three runs / one joint run "
            f"{3 * ratio(seconds['one'], seconds[name]):.2f}"
        )


def target_of(joints_crop: Tensor, options: argparse.Namespace, config: Config) -> Tensor:
    side = options.px // STRIDE
    return render(crop_to_map(joints_crop[..., :2]), (side, side), config.target.sigma_cells)


def same_loss(drawn: People, config: Config, batch: int) -> None:
    """Both arms minimise the same, or there is nothing to compare."""
    session = Session(config, MPII16, torch.device("cpu"))
    images, target, weight = (
        torch.stack(values) for values in zip(*(drawn[i] for i in range(batch)), strict=True)
    )
    with torch.no_grad():
        maps = session.learner.network(images)
        scheme = session.learner.scheme
        found = scheme(maps, target, weight[..., 0], RAMP, None, None)
        outputs = [output for branch in maps.branches for output in branch]
        expected = losses(outputs, scheme.ensemble(maps), target, weight, RAMP)
    for ours, theirs in zip((found.label, found.ensemble, found.distill), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


@dataclass(frozen=True)
class Photographs:
    """The same people with their pictures in memory, and with files."""

    decoded: list[Person]
    filed: list[Person]


def photographs(options: argparse.Namespace, folder: Path) -> Photographs:
    """People of a set, or drawn ones whose pictures are written as JPEG."""
    if options.data:
        from model.data.mixture import open_source
        from service.cli.sources import parse_source

        filed = in_skeleton(open_source(parse_source(options.data)), MPII16)[: options.people]
    else:
        filed = []
        for person in draw_people(options.people, seed=0, size_px=256):
            file = folder / f"{person.image.name}.jpg"
            picture_of(person).save(file, quality=92)
            filed.append(replace(person, image=file, pixels=None))
    decoded = [replace(p, pixels=np.asarray(picture_of(p))) for p in filed]
    return Photographs(decoded, filed)


def main(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    devices = [(torch.device("cpu"), options.batch)]
    if torch.cuda.is_available():
        devices.append((torch.device("cuda"), options.cuda_batch))
    with tempfile.TemporaryDirectory() as folder:
        photos = photographs(options, Path(folder))
        for device, batch in devices:
            config = config_of(options, batch)
            crops = (photos.filed, config.data.crop_px, config.data.padding)
            began = time.perf_counter()
            packed = pack(*crops, fingerprint="")
            cut_ms = 1e3 * (time.perf_counter() - began) / len(packed)
            mapped = pack(*crops, fingerprint="", cache=Path(folder) / "packs", mode="disk")
            name = torch.cuda.get_device_name() if device.type == "cuda" else processor()
            say(
                f"\n{name}, torch {torch.__version__}, {options.threads} threads: {options.px} px, "
                f"{options.width} channels, 3 branches × {options.stacks} stacks, batch {batch}; "
                f"cutting out, once: {cut_ms:.1f} ms a person"
            )
            step_ratios(options, batch, photos.decoded, packed, device)
            end_to_end(
                options, batch, photos.filed, {"in memory": packed, "on disk": mapped}, device
            )
            shares(options, batch, packed, device)
            three_at_once(options, batch, packed, device)
    if not torch.cuda.is_available():
        say("\nCUDA: skipped, there is no device")


def processor() -> str:
    """As the system names it, with its cores."""
    named = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{named[0] if named else platform.machine()}, {cores()} cores"


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--px", type=int, default=128, help="side of the crop")
    parser.add_argument("--width", type=int, default=64, help="channels")
    parser.add_argument("--depth", type=int, default=4, help="of an hourglass")
    parser.add_argument("--stacks", type=int, default=1, help="a branch")
    parser.add_argument("--batch", type=int, default=32, help="people a step on the CPU")
    parser.add_argument("--cuda-batch", type=int, default=64, help="people a step on CUDA")
    parser.add_argument("--people", type=int, default=96, help="of the data that are taken")
    parser.add_argument("--rounds", type=int, default=15, help="that medians are taken of")
    parser.add_argument("--threads", type=int, default=1, help="of torch, for every arm")
    parser.add_argument("--data", default="", help="FORMAT:PATH[:SPLIT]; drawn people without")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(parsed())
