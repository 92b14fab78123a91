"""Who teaches from outside: the averaged twin and another run, which must fit the student."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from model.config import Config
from model.data.mixture import open_mixture
from model.data.packing import pack
from model.errors import CheckpointUnusable, ConfigError
from model.network import BranchMaps
from model.schemes import Losses
from model.skeletons import LSP14, MPII16, Skeleton
from model.training.run import train
from model.training.state.session import Session
from model.training.step import Step

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run_dir(make_config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that could teach: its folder with nothing but the best weights."""
    folder = tmp_path_factory.mktemp("teacher")
    Session(make_config("training.seed=5"), MPII16, CPU).save_judged(
        folder / "checkpoints" / "best.pt"
    )
    return folder


def taught(make_config: Any, teacher: Path, *overrides: str, branch: str = "ensemble") -> Config:
    config: Config = make_config(
        f"scheme={{name: fpd, teacher: {teacher}, teacher_branch: {branch}}}", *overrides
    )
    return config


def images() -> Tensor:
    return torch.rand(3, 3, 64, 48, generator=torch.Generator().manual_seed(0)) * 255


def listening(session: Session) -> list[Tensor | None]:
    """What the session's scheme is handed as its teacher's maps, from now on."""
    heard: list[Tensor | None] = []
    forward = session.learner.scheme.forward

    def listen(
        maps: BranchMaps,
        target: Tensor,
        seen: Tensor,
        ramp: float,
        teacher: Tensor | None = None,
        *more: Any,
    ) -> Losses:
        heard.append(teacher)
        losses: Losses = forward(maps, target, seen, ramp, teacher, *more)
        return losses

    session.learner.scheme.forward = listen  # type: ignore[method-assign]
    return heard


def step(session: Session) -> None:
    """One step of training."""
    config = session.config
    people = open_mixture(config.data.train, MPII16).people
    packed = pack(people, config.data.crop_px, config.data.padding, fingerprint="")
    pixels, joints = (torch.from_numpy(t[:4]) for t in (packed.pixels, packed.joints))
    Step(session)(pixels, joints, people=4, lr=1e-3, ramp=1.0)


@pytest.mark.parametrize("branch", ["pico", "nano", "ensemble"])
def test_a_run_teaches_with_the_maps_that_it_is_judged_by(make_config, run_dir: Path, branch: str):
    """Its own, whatever the student's weights, and as its evaluation sees them."""
    teacher = Session(taught(make_config, run_dir, branch=branch), MPII16, CPU).teacher
    assert teacher is not None
    judged = Session(make_config("training.seed=5"), MPII16, CPU).judged.eval()
    maps = judged.network(images())

    answer = teacher(images())

    expected = {
        "pico": maps.branches[0][-1],
        "nano": maps.branches[1][-1],
        "ensemble": judged.scheme.ensemble(maps),
    }
    torch.testing.assert_close(answer, expected[branch])
    assert not answer.requires_grad


def test_a_step_hands_the_runs_maps_to_the_scheme_and_leaves_the_run_alone(
    make_config, run_dir: Path
):
    """Frozen: neither weights nor batch normalisation's statistics move."""
    session = Session(taught(make_config, run_dir, branch="nano"), MPII16, CPU)
    assert session.teacher is not None
    before = {n: t.clone() for n, t in session.teacher.learner.state_dict().items()}
    heard = listening(session)

    step(session)

    (maps,) = heard
    assert maps is not None
    assert maps.shape == (4, 16, 16, 12)
    after = session.teacher.learner.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert session.optimizer.state.keys() == set(session.learner.parameters())


def test_the_averaged_twin_teaches_with_its_ensemble(make_config):
    """As it was before the step, on the same crops, and in the mode in which it is judged."""
    session = Session(make_config("scheme.average_teacher=true"), MPII16, CPU)
    assert session.average is not None
    session.average.module.network.stem.body[0][0].weight.data.mul_(1.5)
    twin = Session(session.config, MPII16, CPU)
    twin.judged.load_state_dict(session.judged.state_dict())
    shown: list[Tensor] = []
    session.learner.network.register_forward_pre_hook(lambda _, args: shown.append(args[0]))
    heard = listening(session)

    step(session)

    (crops,), (maps,) = shown, heard
    assert maps is not None
    with torch.no_grad():
        answer = twin.judged.network(crops)
        torch.testing.assert_close(maps, twin.judged.scheme.ensemble(answer))


def test_a_scheme_that_asks_for_nobody_has_nobody(make_config):
    """And the checkpoint says so."""
    session = Session(make_config(), MPII16, CPU)

    assert session.teacher is None
    assert session.progress.teacher == ""


# A teacher that does not fit


@pytest.mark.parametrize(
    ("overrides", "skeleton", "message"),
    [
        (
            [],
            LSP14,
            "scheme.teacher: it knows the 16 joints of mpii16, the student learns the 14 of lsp14; "
            "accepted: a run of the skeleton lsp14",
        ),
        (
            ["data.crop_px=[64, 64]"],
            MPII16,
            "scheme.teacher: it looks at crops of [64, 48] pixels, the student at [64, 64]; "
            "accepted: a run with data.crop_px [64, 64]",
        ),
        (
            ["target.term=ce"],
            MPII16,
            "scheme.teacher: its maps are of the term mse, the student's of ce; "
            "accepted: a run with target.term ce",
        ),
        (
            ["scheme.teacher_branch=mega"],
            MPII16,
            "scheme.teacher_branch: the teacher has no 'mega'; accepted: pico, nano, ensemble",
        ),
    ],
    ids=["skeleton", "crop", "term", "branch"],
)
def test_a_teacher_that_does_not_fit_is_refused_with_both_sides(
    make_config, run_dir: Path, overrides: list[str], skeleton: Skeleton, message: str
):
    """Its maps would be of other joints, of another size, or in other units."""
    with pytest.raises(ConfigError) as caught:
        Session(taught(make_config, run_dir, *overrides), skeleton, CPU)

    assert str(caught.value) == message


def test_all_that_does_not_fit_is_said_at_once(make_config, run_dir: Path):
    """Not one fault a try."""
    config = taught(make_config, run_dir, "target.term=ce", "data.crop_px=[64, 64]")

    with pytest.raises(ConfigError) as caught:
        Session(config, LSP14, CPU)

    assert len(caught.value.faults) == 3


def test_a_teacher_that_is_not_there_is_named_by_its_key(make_config, tmp_path: Path):
    """And a file that is no network of ours."""
    damaged = tmp_path / "best.pt"
    damaged.write_bytes(b"no checkpoint")

    for teacher, message in ((tmp_path / "gone", "there is no"), (damaged, "best.pt is damaged")):
        with pytest.raises(ConfigError, match=message) as caught:
            Session(taught(make_config, teacher), MPII16, CPU)
        assert [fault.where for fault in caught.value.faults] == ["scheme.teacher"]


# Through a run


def test_a_resume_with_another_teacher_is_refused(make_config, run_dir: Path, tmp_path: Path):
    """Known by its weights: the same file elsewhere is the same teacher."""
    same, other = tmp_path / "same.pt", tmp_path / "other.pt"
    same.write_bytes((run_dir / "checkpoints" / "best.pt").read_bytes())
    Session(make_config("training.seed=6"), MPII16, CPU).save_judged(other)
    stops = iter([False, True, True])
    config = taught(make_config, run_dir)
    train(config, tmp_path / "run", device="cpu", stop=lambda: next(stops))

    train(taught(make_config, same), tmp_path / "run", resume=True, device="cpu", stop=lambda: True)
    with pytest.raises(CheckpointUnusable, match="the teacher changed since the run began"):
        train(taught(make_config, other), tmp_path / "run", resume=True, device="cpu")

    manifest = (tmp_path / "run" / "manifest.json").read_text()
    assert '"branch": "ensemble"' in manifest
    assert str(tmp_path) not in manifest
