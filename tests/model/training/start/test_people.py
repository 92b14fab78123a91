"""What a run learns from, where labels are believed more or less."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.config import Config
from model.data.label_weights import LabelWeights
from model.data.mixture import open_mixture, skeleton_of
from model.data.person import Person
from model.data.synthetic import draw_people
from model.errors import CheckpointUnusable, ConfigError
from model.skeletons import MPII16
from model.training.run import train
from model.training.start.people import open_people

PEOPLE = 6
DOUBTED = (2, MPII16.index("left_wrist"))
Learn = Callable[..., dict[str, torch.Tensor]]


def relabelled(x: float, y: float, labelled: int) -> list[Person]:
    """Drawn people, one of whom has his wrist elsewhere."""
    people = draw_people(PEOPLE, seed=3, size_px=64)
    joints = people[DOUBTED[0]].joints_img.copy()
    assert joints[DOUBTED[1], 2]
    joints[DOUBTED[1]] = x, y, labelled
    people[DOUBTED[0]] = replace(people[DOUBTED[0]], joints_img=joints)
    return people


@pytest.fixture
def weigh(tmp_path: Path) -> Callable[[Config, float], Config]:
    """The configuration with a file of weights in which one label has its own."""

    def weighed(config: Config, weight: float) -> Config:
        (origin,) = open_mixture(config.data.train, MPII16).origins
        weights = np.ones((PEOPLE, len(MPII16)), np.float32)
        weights[DOUBTED] = weight
        path = tmp_path / f"{origin.fingerprint[:8]}-{weight}" / "weights.npz"
        LabelWeights(MPII16.joints, {origin.fingerprint: weights}).write(path)
        data = config.data.model_copy(update={"weights": str(path.parent)})
        return config.model_copy(update={"data": data})

    return weighed


@pytest.fixture
def learnt_from(make_config, write_coco, tmp_path: Path) -> Callable[..., Config]:
    """The small configuration on people with one label of the test's choice."""

    def made(name: str, x: float, y: float, labelled: int = 1) -> Config:
        write_coco(
            tmp_path / name,
            relabelled(x, y, labelled),
            MPII16,
            sigmas=list(MPII16.sigmas),
        )
        source = f"{{format: coco, path: {tmp_path / name}, split: train}}"
        return make_config(f"data.train=[{source}]", "augment.half_body=0.5")

    return made


@pytest.fixture
def learn(tmp_path: Path) -> Callable[[Config], dict[str, torch.Tensor]]:
    """The network's weights after a step."""

    def learnt(config: Config) -> dict[str, torch.Tensor]:
        folder = tmp_path / f"run{len(list(tmp_path.glob('run*')))}"
        steps = iter(range(1))
        train(config, folder, stop=lambda: next(steps, None) is None, device="cpu")
        state = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
        return dict(state["learner"])

    return learnt


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(weight, b[name]) for name, weight in a.items())


def test_a_label_of_weight_0_is_as_none(learnt_from, weigh, learn) -> None:
    """Wherever it lies, the network learns the same, to the bit; 1 is as without any file."""
    without = learn(learnt_from("none", 0, 0, labelled=0))
    here = learnt_from("here", 20, 30)

    assert same(learn(weigh(here, 0)), without)
    assert same(learn(weigh(learnt_from("there", 50, 10), 0)), without)
    believed, half = learn(here), learn(weigh(here, 0.5))
    assert same(learn(weigh(here, 1)), believed)
    assert not same(half, without)
    assert not same(half, believed)


def test_a_run_is_not_resumed_with_other_weights(learnt_from, weigh, tmp_path: Path) -> None:
    """It would be of neither; the same weights in another place are the same."""
    config = learnt_from("here", 20, 30)
    folder = tmp_path / "run"
    train(weigh(config, 0.5), folder, stop=lambda: True, device="cpu")

    with pytest.raises(CheckpointUnusable, match="the training data changed"):
        train(weigh(config, 0.25), folder, stop=lambda: True, resume=True, device="cpu")
    moved = weigh(config, 0.5).data.weights
    assert moved is not None
    Path(moved).rename(tmp_path / "moved")
    elsewhere = config.data.model_copy(update={"weights": str(tmp_path / "moved")})
    again = config.model_copy(update={"data": elsewhere})
    assert train(again, folder, stop=lambda: True, resume=True, device="cpu").state == "stopped"


def test_a_file_that_is_not_there_is_told(make_config, tmp_path: Path) -> None:
    """With the key that names it."""
    config = make_config(f"data.weights={tmp_path / 'gone.npz'}")

    with pytest.raises(ConfigError, match=r"data\.weights: there is no"):
        open_people(config, skeleton_of("mpii16", config.data.train))
