"""Fine-tuning: what a network takes over from another's file, and what it does with it."""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.calibration_file import map_of
from model.config import Config, load_config, merge
from model.data.packing import exact_crops
from model.data.synthetic import draw_people
from model.errors import ConfigError
from model.export import export_student
from model.predictor import BUNDLED, Card, Predictor
from model.skeletons import COCO17, LSP14, MPII16, Skeleton
from model.training.outcome.judge import keypoints
from model.training.run import train
from model.training.start.donor import is_neutral, read_donor
from model.training.start.inherit import Inheritance, inherit
from model.training.state.learner import Learner
from model.training.state.session import Session

CPU = torch.device("cpu")
PICO, NANO = {"name": "pico"}, {"name": "nano", "stacks": 2, "width": 12}
OTHER_SEED = "training.seed=7"


def crops_of(config: Config, count: int = 8, seed: int = 5) -> NDArray[np.uint8]:
    people = draw_people(count, seed=seed, size_px=96)
    return exact_crops(people, config.data.crop_px, config.data.padding)[0]


def begun(config: Config, file: Path, skeleton: Skeleton = MPII16) -> tuple[Session, Inheritance]:
    session = Session(config, skeleton, CPU)
    return session, inherit(session, file, crops_of(config))


def as_if_trained(learner: Learner, crops: NDArray[np.uint8]) -> None:
    """Norms with every scale and shift, and the statistics of these crops, as training ends."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in learner.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.uniform_(-0.5, 0.5, generator=generator)
                module.momentum = 1.0
        learner.network.train()(torch.from_numpy(crops).permute(0, 3, 1, 2))
        for branch in learner.network.branches:  # fresh maps are flat: give them peaks
            branch.stacks[-1].score.weight.mul_(30)


@pytest.fixture(scope="module")
def donor(make_config) -> Session:
    """Two branches, unlike in stacks and width."""
    session = Session(make_config("training.ema_decay=0"), MPII16, CPU)
    as_if_trained(session.learner, crops_of(session.config, 16, seed=6))
    return session


@pytest.fixture(scope="module")
def best(donor: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its best.pt."""
    path = tmp_path_factory.mktemp("runs") / "donor" / "checkpoints" / "best.pt"
    donor.save_judged(path)
    return path


@pytest.fixture(scope="module")
def nano(donor: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its second branch, as it is deployed."""
    path = tmp_path_factory.mktemp("students") / "nano.onnx"
    config = donor.config
    card = Card("nano", MPII16, config.data.crop_px, 0.1, "donor", ("lsp",), "research only")
    export_student(donor.learner.network.cut(1), config, MPII16, card, path)
    return path


@torch.no_grad()
def maps_of(session: Session, crops: NDArray[np.uint8], *, train: bool = False) -> list[Tensor]:
    """Every branch's `[S, N, K, h, w]`; in training mode those of batch statistics."""
    network = copy.deepcopy(session.learner.network).train(train)  # it takes in what it sees
    return list(network(torch.from_numpy(crops).permute(0, 3, 1, 2)).branches)


# The same network


def test_a_network_begun_from_a_student_s_file_answers_as_the_file_does(make_config, nano):
    """Through ONNX Runtime and PyTorch: the layers that the exporter folded are put back."""
    config = make_config("network.branches=[{name: nano, stacks: 2, width: 12}]", OTHER_SEED)
    session, told = begun(config, nano)
    crops = crops_of(config, 20, seed=77)

    expected = Predictor(nano).infer(crops)
    for learner in (session.learner, session.judged):  # the averaged weights begin alike
        found = keypoints(learner, crops, config, MPII16, flip_test=False)["nano"]
        np.testing.assert_allclose(found, expected, atol=0.01)
    assert told.branches == {"nano": "nano"}
    assert (told.run, told.data, told.licence) == ("donor", ("lsp",), "research only")
    assert told.fresh == ("scheme.fau",)
    assert str(told).startswith(f"begins with {told.taken:,} of {told.weights:,} weights of donor")


@pytest.mark.skipif(not BUNDLED.is_file(), reason="no student ships with this checkout")
def test_the_student_that_ships_can_be_gone_on_with():
    """422 thousand weights of a real training, in an older file than today's exporter writes."""
    sources = [{"format": "synthetic"}]
    config = load_config(
        {
            "preset": "bundled",
            "data": {"train": sources, "valid": sources},
            "network": {"branches": [{"name": "nano", "stacks": 2}]},
        }
    )
    session, told = begun(config, BUNDLED)
    crops = crops_of(config, 4)

    found = keypoints(session.learner, crops, config, MPII16, flip_test=False)["nano"]
    scores = map_of(BUNDLED)  # the file's own: a network that learns has none
    if scores is not None:
        found = scores.applied(found)
    np.testing.assert_allclose(found, Predictor(BUNDLED).infer(crops), atol=0.01)
    assert told.taken == sum(p.numel() for p in session.learner.network.parameters())


def test_a_network_begun_from_a_run_is_that_run(make_config, donor, best):
    """Every branch and what the scheme learnt, to the bit; nothing begins anew."""
    session, told = begun(make_config(OTHER_SEED), best)
    crops = crops_of(session.config)

    for ours, theirs in zip(maps_of(session, crops), maps_of(donor, crops), strict=True):
        assert torch.equal(ours, theirs)
    ours, theirs = session.learner.scheme.state_dict(), donor.learner.scheme.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert told.branches == {"pico": "pico", "nano": "nano"}
    assert told.taken == told.weights
    assert told.fresh == ()


def test_training_starts_from_what_the_file_says(make_config, donor, nano):
    """Batch statistics do not throw a student off whose own were folded away.

    A neutral normalisation answers well until the first step of training, and then forgets.
    """
    config = make_config("network.branches=[{name: nano, stacks: 2, width: 12}]", OTHER_SEED)
    session = Session(config, MPII16, CPU)
    crops = crops_of(config, 16, seed=6)  # those that the donor's statistics are of

    inherit(session, nano, crops)

    expected = maps_of(donor, crops, train=True)[1]
    (found,) = maps_of(session, crops, train=True)
    norms = [m for m in session.learner.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(is_neutral(norm) for norm in norms)
    assert float((found - expected).std()) < 0.02 * float(expected.std())


# Another network


def test_branches_take_the_branch_that_fits_them_best(make_config, donor, best):
    """Under other names and in another order; a further one takes the same again."""
    config = make_config(
        "network.branches=[{name: a, stacks: 2, width: 12}, {name: b}, {name: c}]", OTHER_SEED
    )
    session, told = begun(config, best)
    crops = crops_of(config)

    a, b, c = maps_of(session, crops)
    pico, nano = maps_of(donor, crops)
    assert told.branches == {"a": "nano", "b": "pico", "c": "pico"}
    assert torch.equal(a, nano)
    assert torch.equal(b, pico)
    assert torch.equal(c, pico)


def test_more_stacks_begin_with_those_that_are_there(make_config, donor, best):
    """The first stacks answer as before; the stack that nobody had is told."""
    config = make_config("network.branches=[{name: nano, stacks: 3, width: 12}]", OTHER_SEED)
    session, told = begun(config, best)
    crops = crops_of(config)

    assert torch.equal(maps_of(session, crops)[0][:2], maps_of(donor, crops)[1])
    assert told.fresh[:2] == ("nano.1.merge_features", "nano.1.merge_score")
    assert told.fresh[2] == "nano.2"


def test_fewer_stacks_take_the_first(make_config, donor, best):
    """What stands above them is left out."""
    config = make_config("network.branches=[{name: nano, width: 12}]", OTHER_SEED)
    session, told = begun(config, best)
    crops = crops_of(config)

    assert torch.equal(maps_of(session, crops)[0], maps_of(donor, crops)[1][:1])
    assert told.taken == sum(p.numel() for p in session.learner.network.parameters())


def test_shared_stacks_take_the_lower_stacks_of_a_branch(make_config, tmp_path):
    """A chain of stacks is one, whether others share it or not."""
    chain = make_config("network.branches=[{name: deep, stacks: 3}]", "training.ema_decay=0")
    theirs = Session(chain, MPII16, CPU)
    as_if_trained(theirs.learner, crops_of(chain))
    theirs.save_judged(tmp_path / "best.pt")
    config = make_config(
        "network.branches=[{name: a}, {name: b}]", "network.shared_stacks=2", OTHER_SEED
    )

    session, told = begun(config, tmp_path / "best.pt")

    crops = crops_of(config)
    (deep,) = maps_of(theirs, crops)
    assert all(torch.equal(maps, deep[2:]) for maps in maps_of(session, crops))
    assert told.branches == {"a": "deep", "b": "deep"}


def test_another_skeleton_takes_joint_by_joint(make_config, donor, best):
    """What both know is answered as before, wherever it stands; the others begin anew."""
    config = make_config("network.branches=[{name: pico}]", OTHER_SEED)
    session, told = begun(config, best, COCO17)
    crops = crops_of(config)

    ours, theirs = maps_of(session, crops)[0][-1], maps_of(donor, crops)[0][-1]
    shared = set(COCO17.joints) & set(MPII16.joints)
    assert len(shared) == 12
    for joint in shared:
        a, b = ours[:, COCO17.index(joint)], theirs[:, MPII16.index(joint)]
        assert torch.equal(a, b), joint
    assert "joint nose" in told.fresh
    assert "scheme.fau" in told.fresh  # its heads weigh other joints
    assert len([line for line in told.fresh if line.startswith("joint ")]) == 5


def test_a_joint_under_another_name_is_known(make_config, best):
    """LSP's neck is MPII's upper neck."""
    _, told = begun(make_config("network.branches=[{name: pico}]"), best, LSP14)

    assert not [line for line in told.fresh if line.startswith("joint ")]


def test_another_block_takes_what_both_have(make_config, best):
    """Layers of the same shape in the same place; what is fresh is told."""
    _, told = begun(make_config("network.block=separable"), best)

    assert 0 < told.taken < told.weights
    assert {"stem.body.1.body.2", "nano.0.hourglass.up.body.2"} <= set(told.fresh)


@pytest.mark.parametrize("change", ["network.width=16", "network.width=32"])
def test_a_network_that_nothing_fits_is_refused(make_config, best, change):
    """It would be trained from scratch under another name; a bias of K numbers is no start."""
    config = make_config(change, "network.branches=[{name: pico}]")

    with pytest.raises(ConfigError, match=r"training\.init: nothing of best\.pt fits this network"):
        begun(config, best)


@pytest.mark.parametrize(("name", "content"), [("a.onnx", b"no model"), ("a.pt", b"no weights")])
def test_a_file_of_something_else_is_refused(tmp_path, name, content):
    """By the key that named it."""
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ConfigError, match=r"^training\.init: a\.(onnx|pt) is"):
        read_donor(tmp_path / name, "training.init")


# In a run


def after(steps: int) -> Callable[[], bool]:
    """A `stop` that lets so many steps pass."""
    left = iter(range(steps))
    return lambda: next(left, None) is None


def first_epoch(config: Config, folder: Path) -> float:
    """The only branch's score after one of two epochs; nothing is exported."""
    events: list[dict[str, Any]] = []
    train(config, folder, device="cpu", stop=after(25), listen=events.append)
    (epoch,) = (event for event in events if event["kind"] == "epoch")
    return float(epoch["branches"]["branch0"]["pck@0.2"])


def test_a_fine_tuned_run_is_ahead_of_one_from_scratch(finished_run, tmp_path):
    """After the same epoch on another skeleton; the manifest says where it came from."""
    tree = finished_run.config.model_dump(mode="json")
    changes = {
        "data": {"skeleton": "lsp14"},
        "network": {"branches": [{"width": 16}]},
        "training": {"epochs": 2, "seed": 3},
        "export": {"branch": "best"},
    }
    config = load_config(merge(tree, changes))
    init = {"training": {"init": str(finished_run.folder)}}
    tuned = load_config(merge(config.model_dump(mode="json"), init))

    before = first_epoch(config, tmp_path / "scratch")
    after_ = first_epoch(tuned, tmp_path / "tuned")

    assert after_ > before + 10
    told = json.loads((tmp_path / "tuned" / "manifest.json").read_text())["init"]
    best = finished_run.folder / "checkpoints" / "best.pt"
    assert told["sha256"] == hashlib.sha256(best.read_bytes()).hexdigest()
    assert (told["run"], told["branches"]) == ("learning", {"branch0": "slim"})
    assert json.loads((tmp_path / "scratch" / "manifest.json").read_text())["init"] is None


def test_a_run_that_goes_on_takes_its_checkpoint(make_config, best, tmp_path):
    """Not its beginning again, wherever that is now; and it still knows what it was."""
    gone = tmp_path / "gone.pt"
    gone.write_bytes(best.read_bytes())
    config = make_config(f"training.init={gone}", OTHER_SEED)
    train(config, tmp_path / "run", device="cpu", stop=after(1))
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    gone.unlink()
    events: list[dict[str, Any]] = []

    train(config, tmp_path / "run", device="cpu", resume=True, stop=after(1), listen=events.append)

    assert not [e for e in events if e["kind"] == "log" and "begins with" in e["message"]]
    assert json.loads((tmp_path / "run" / "manifest.json").read_text()) == manifest
    assert manifest["init"]["taken"] == manifest["init"]["weights"]
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)
    assert state["progress"]["step"] == 2


def test_a_beginning_that_is_not_there_is_told_by_its_key(make_config, tmp_path):
    """Before anything is trained."""
    config = make_config(f"training.init={tmp_path / 'nowhere'}")

    with pytest.raises(ConfigError, match=r"^training\.init: there is no .*nowhere"):
        train(config, tmp_path / "run", device="cpu")
