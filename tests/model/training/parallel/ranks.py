"""What a process of a group does for `test_processes`: `torchrun … ranks.py CONFIG.json FOLDER`.

Everything is in float64, in which what one process and two compute differs by rounding alone; in
float32 a rectifier or a maximum decides otherwise here and there, and Adam makes a step of it.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.config import Config, load_config, merge
from model.data.mixture import open_mixture
from model.data.packing import Pack, pack
from model.skeletons import MPII16
from model.training.loop import Loop
from model.training.outcome.validation import Valid
from model.training.parallel.group import ALONE, Group
from model.training.parallel.processes import joined
from model.training.state.session import Session
from model.training.step import Step

CPU = torch.device("cpu")
FORMS: dict[str, dict[str, Any]] = {
    "mse": {"target": {"term": "mse"}},
    "ce": {"target": {"term": "ce"}, "scheme": {"kl_mean": "joints"}},
}


def people(config: Config) -> Pack:
    """Eleven; the first have no label at all, so that labels are unevenly spread."""
    drawn = open_mixture(config.data.train, MPII16).people
    packed = pack(drawn, config.data.crop_px, config.data.padding, fingerprint="")
    packed.joints[:3, :, 2] = 0
    packed.joints[3:6, 4:, 2] = 0
    return packed


def double(session: Session) -> Session:
    session.learner.double()
    if session.average:
        session.average.module.double()
    return session


def doubled(step: Step) -> Step:
    """The step with its crops in the weights' precision."""
    augment = step.augment

    def crops(*args: Any) -> tuple[Tensor, Tensor]:
        images, joints = augment(*args)
        return images.double(), joints

    step.augment = crops  # type: ignore[assignment]
    return step


def gradients(config: Config, group: Group, *, frozen: bool = False) -> dict[str, Any]:
    """Of one batch of all people. frozen: normalisation by what was there before, of no batch."""
    session = double(Session(config, MPII16, CPU))
    step, packed = doubled(Step(session, group)), people(config)
    if frozen:
        session.learner.eval()
        session.learner.train = lambda mode=True: session.learner  # type: ignore[method-assign]
    share = group.share(len(packed))
    pixels, joints = (torch.from_numpy(t[share]) for t in (packed.pixels, packed.joints))
    loss = step(pixels, joints, people=len(packed), lr=1e-3, ramp=1.0)
    found = {n: p.grad for n, p in session.learner.named_parameters() if p.grad is not None}
    norms = {n: b for n, b in session.learner.named_buffers() if "running" in n}
    return {"loss": loss, "gradients": found, "norms": norms}


def trained(config: Config, group: Group, steps: int, begin: Path | None) -> tuple[Session, Loop]:
    """A session after so many steps, from a checkpoint on if there is one."""
    session = double(Session(config, MPII16, CPU))
    if begin is not None:
        session.restore(begin, group)
    last = session.progress.step + steps
    loop = Loop(
        session,
        people(config),
        # The process that is not asked by anybody says it: all must hear.
        stop=lambda: group.rank == group.size - 1 and session.progress.step == last,
        report=lambda _: None,
        checkpoint=lambda: None,
        group=group,
    )
    doubled(loop.step)
    for entry in loop.epochs():
        session.progress.history.append(entry)
    assert loop.stopped
    assert session.progress.step == last
    return session, loop


def resumed(config: Config, path: Path, first: Group, second: Group) -> dict[str, Any]:
    """Three steps, saved within an epoch, and three more in another group."""
    session, _ = trained(config, first, 3, None)
    if first.leads:
        session.save(path)
    session, _ = trained(config, second, 3, path)
    return {"weights": session.learner.state_dict(), "loss": session.progress.history[-1]["loss"]}


def report(config: Callable[..., Config], group: Group, folder: Path) -> dict[str, Any]:
    """What this process found, and, of what the first one found alone, what it should have been."""
    told: dict[str, Any] = {"share": group.share(11).indices(11)}
    groups = {"group": group} | ({"alone": ALONE} if group.leads else {})
    for name, members in groups.items():
        told[name] = {form: gradients(config(over), members) for form, over in FORMS.items()}
        parts = {"training": {"accumulate": 2}}
        told[name]["whole"] = gradients(config(FORMS["ce"]), members, frozen=True)
        told[name]["parts"] = gradients(config(merge(FORMS["ce"], parts)), members, frozen=True)
        valid = Valid(open_mixture(config().data.valid, MPII16), config(), members)
        told[name]["crops"] = len(valid.crops)
        told[name]["found"] = valid.found(Session(config(), MPII16, CPU))
        told[name]["scores"] = valid.scores(Session(config(), MPII16, CPU))
    told["1 → 2"] = resumed(config(), folder / "one.pt", ALONE, group)
    told["2 → 2"] = resumed(config(), folder / "two.pt", group, group)
    if group.leads:
        told["2 → 1"] = {}
        session, _ = trained(config(), ALONE, 3, folder / "two.pt")
        told["2 → 1"]["weights"] = session.learner.state_dict()
        told["1 → 1"] = resumed(config(), folder / "alone.pt", ALONE, ALONE)
    group.same(lambda: None)  # nobody leaves while another still asks
    return told


def main() -> None:
    tree = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(sys.argv[2])

    def config(over: dict[str, Any] | None = None) -> Config:
        return load_config(merge(tree, over or {}))

    with joined(config(), "cpu") as (group, device):
        assert device == CPU
        told = report(config, group, folder)
        torch.save(told, folder / f"rank{group.rank}.pt")


if __name__ == "__main__":
    main()
