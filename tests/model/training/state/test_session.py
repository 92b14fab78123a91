"""Checkpoints: complete, rebuilt from the file alone, and refused when they are not ours."""

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from model.config import Config
from model.errors import CheckpointUnusable, DiskFull
from model.skeletons import LSP14, MPII16, Skeleton
from model.training.randomness import generator_for
from model.training.state.checkpoints import load_judged
from model.training.state.session import Session

CPU = torch.device("cpu")


def session(config: Config, skeleton: Skeleton = MPII16) -> Session:
    return Session(config, skeleton, CPU)


@pytest.fixture
def saved(make_config, tmp_path: Path) -> Path:
    path = tmp_path / "last.pt"
    session(make_config()).save(path)
    return path


def test_a_checkpoint_alone_rebuilds_what_was_judged(make_config, tmp_path: Path):
    """Config, skeleton, network and averaged weights; no other file is asked."""
    config = make_config("network.shared_stacks=1", "target.term=ce")
    trained = session(config, LSP14)
    image = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8)
    trained.save_judged(tmp_path / "best.pt")

    theirs, skeleton, learner = load_judged(tmp_path / "best.pt", CPU)

    assert (theirs, skeleton) == (config, LSP14)
    assert not any(p.requires_grad for p in learner.parameters())
    with torch.no_grad():
        ours = trained.judged.network(image)
        assert torch.equal(learner.network(image).every, ours.every)
        assert torch.equal(learner.scheme.ensemble(ours), trained.judged.scheme.ensemble(ours))


def test_averaged_weights_are_what_is_judged(make_config):
    """Without an average it is the learner itself, not a copy that lags behind."""
    averaging, plain = (
        session(make_config("training.ema_decay=0.9")),
        session(make_config("training.ema_decay=0")),
    )

    assert averaging.judged is not averaging.learner
    assert plain.judged is plain.learner


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def scribbled(path: Path) -> None:
    path.write_text("not a checkpoint")


def of_the_future(path: Path) -> None:
    state = torch.load(path, weights_only=True)
    torch.save(state | {"format": 2}, path)


def of_another_kind(path: Path) -> None:
    torch.save([1, 2, 3], path)


def one_weight_short(path: Path) -> None:
    state = torch.load(path, weights_only=True)
    state["learner"].popitem()
    torch.save(state, path)


def without_optimizer(path: Path) -> None:
    state = torch.load(path, weights_only=True)
    del state["optimizer"]
    torch.save(state, path)


def of_an_impossible_config(path: Path) -> None:
    state = torch.load(path, weights_only=True)
    state["config"]["training"]["epochs"] = -1
    torch.save(state, path)


def without_weights(path: Path) -> None:
    state = torch.load(path, weights_only=True)
    del state["judged"]
    torch.save(state, path)


def with_a_payload(path: Path) -> None:
    torch.save({"format": 1, "progress": print}, path)


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        cut_short,
        emptied,
        scribbled,
        of_the_future,
        of_another_kind,
        one_weight_short,
        without_optimizer,
        of_an_impossible_config,
        with_a_payload,
    ],
)
def test_a_broken_checkpoint_is_refused(make_config, saved: Path, damage: Callable[[Path], Any]):
    """By name, without its folder, and whatever torch makes of its bytes."""
    damage(saved)

    with pytest.raises(CheckpointUnusable, match=r"last\.pt") as caught:
        session(make_config()).restore(saved)

    assert str(saved.parent) not in str(caught.value)


@pytest.mark.parametrize(
    "damage", [Path.unlink, cut_short, of_another_kind, of_an_impossible_config, without_weights]
)
def test_a_broken_result_is_refused(make_config, tmp_path: Path, damage: Callable[[Path], Any]):
    """`okdhp export` and `okdhp evaluate` read `best.pt`."""
    path = tmp_path / "best.pt"
    session(make_config()).save_judged(path)
    damage(path)

    with pytest.raises(CheckpointUnusable, match=r"best\.pt"):
        load_judged(path, CPU)


def test_the_best_weights_are_nothing_to_resume_from(make_config, tmp_path: Path):
    """They hold no optimiser: going on from them would not be exact."""
    path = tmp_path / "best.pt"
    session(make_config()).save_judged(path)

    with pytest.raises(CheckpointUnusable, match=r"best\.pt does not hold a whole training"):
        session(make_config()).restore(path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (["network.width=12"], "network.width"),
        (["optim.lr=0.5", "training.seed=3"], "optim.lr, training.seed"),
        (["data.padding=0.3"], "data.padding"),
        (["data.train=[{format: synthetic, people: 5}]"], "data.train"),
    ],
)
def test_a_checkpoint_of_another_configuration_names_the_keys(
    make_config, saved: Path, changes: list[str], named: str
):
    """Silently going on with other values would be neither run."""
    with pytest.raises(CheckpointUnusable) as caught:
        session(make_config(*changes)).restore(saved)

    assert str(caught.value) == f"last.pt is of another configuration: {named}"


def test_weights_of_another_architecture_are_named(make_config, tmp_path: Path):
    """A file of another version of the code has the same configuration and other layers."""
    path = tmp_path / "best.pt"
    session(make_config()).save_judged(path)
    state = torch.load(path, weights_only=True)
    weights = state["judged"]
    weights["network.stem.body.0.0.weight"] = torch.zeros(2, 3, 5, 5)
    weights["network.branches.0.gate"] = weights.pop("network.branches.0.stacks.0.score.bias")
    torch.save(state, path)

    with pytest.raises(CheckpointUnusable) as caught:
        load_judged(path, CPU)

    assert str(caught.value) == (
        "best.pt is of another architecture: network.branches.0.stacks.0.score.bias is missing; "
        "network.branches.0.gate is unknown here; "
        "network.stem.body.0.0.weight is [2, 3, 5, 5], here [2, 3, 7, 7]"
    )


def test_of_many_weights_that_do_not_fit_the_first_are_named(make_config, tmp_path: Path):
    """A thousand names would hide what they have in common."""
    path = tmp_path / "best.pt"
    session(make_config()).save_judged(path)
    state = torch.load(path, weights_only=True)
    lost = [name for name in state["judged"] if name.startswith("network.stem.")]
    for name in lost:
        del state["judged"][name]
    torch.save(state, path)

    with pytest.raises(CheckpointUnusable, match=rf"is missing and {len(lost) - 3} more$"):
        load_judged(path, CPU)


@pytest.mark.parametrize("who", ["learner", "average", "judged again"])
def test_every_copy_of_the_network_lies_in_memory_as_it_is_fastest(
    make_config, tmp_path: Path, who: str
):
    """Channels last, in which convolutions of a CPU and of CUDA need no reordering."""
    ours = session(make_config())
    assert ours.average is not None
    ours.save_judged(tmp_path / "best.pt")
    learner = {
        "learner": ours.learner,
        "average": ours.average.module,
        "judged again": load_judged(tmp_path / "best.pt", CPU)[2],
    }[who]

    kernels = [p for p in learner.parameters() if p.dim() == 4 and min(p.shape[1:]) > 1]
    assert kernels
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


def test_more_epochs_devices_and_another_name_are_no_other_configuration(make_config, saved: Path):
    """None changes what the next step does."""
    longer = ("training.epochs=50", "training.max_hours=3", "training.checkpoint_s=9")
    ours = session(make_config(*longer, "training.devices=4", "export.name=x"))

    ours.restore(saved)


def test_a_full_disk_costs_the_newest_state_and_not_the_only_one(make_config, saved: Path):
    """A limit on the size of files is the full disk that a test may have."""
    before = saved.read_bytes()
    ours = session(make_config("training.seed=1"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(DiskFull, match=r"no space left to write last\.pt; the file before it"):
            ours.save(saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]
    ours.save(saved)
    assert saved.read_bytes() != before


def test_no_two_positions_of_a_run_share_a_stream():
    """Randomness is a function of seed and position: orders, and each step's augmentation."""
    positions = [(kind, at) for kind in (1, 2) for at in range(200)]

    def drawn(seed: int) -> list[tuple[float, ...]]:
        return [
            tuple(torch.rand(3, generator=generator_for(CPU, seed, *position)).tolist())
            for position in positions
        ]

    assert len(set(drawn(0))) == len(positions)
    assert drawn(0) == drawn(0)
    assert not any(a == b for a, b in zip(drawn(0), drawn(1), strict=True))


def test_a_session_leaves_the_global_generator_alone(make_config):
    """A library that reseeds its host's randomness makes it repeat itself."""
    before = torch.random.get_rng_state()

    session(make_config())

    assert torch.equal(torch.random.get_rng_state(), before)
