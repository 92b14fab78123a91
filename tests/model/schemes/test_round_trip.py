"""From a scheme's training to the student that is deployed: saved, resumed, cut, exported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from model.config import Config, load_config
from model.export import export_student
from model.heatmaps import render
from model.network.cost import student_cost
from model.predictor import Card, Predictor
from model.schemes import SCHEMES
from model.skeletons import MPII16
from model.training.outcome.judge import keypoints
from model.training.state.checkpoints import load_judged
from model.training.state.session import Session

CPU = torch.device("cpu")
CROP = (32, 48)
PEOPLE = 3
OPTIONS: dict[str, dict[str, Any]] = {"okdhp": {"fau": {"hidden": 6}}}
every_scheme = pytest.mark.parametrize("scheme", SCHEMES)


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Config]:
    """A scheme's configuration; where a run is the teacher there is one."""

    def config(scheme: str, **options: object) -> Config:
        return load_config(
            {
                "data": {
                    "crop_px": list(CROP),
                    "train": [{"format": "synthetic"}],
                    "valid": [{"format": "synthetic"}],
                },
                "network": {
                    "width": 8,
                    "depth": 1,
                    "branches": [{"stacks": 1}, {"stacks": 2, "width": 12}, {"stacks": 1}],
                },
                "target": {"term": "ce"},
                "scheme": {"name": scheme, **OPTIONS.get(scheme, {}), **options},
                "training": {"ema_decay": 0.5},
                "evaluation": {"decoder": "quarter"},  # the quickest to export
            }
        )

    teacher = tmp_path_factory.mktemp("teacher") / "best.pt"
    Session(config("none"), MPII16, CPU).save_judged(teacher)
    return lambda scheme: config(scheme, **({"teacher": str(teacher)} if scheme == "fpd" else {}))


def pictures(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (PEOPLE, 3, *CROP), dtype=torch.uint8, generator=generator)


def step(session: Session, images: Tensor) -> None:
    """One step of learning, and of the average."""
    learner = session.learner.train()
    K = len(MPII16)
    target = render(torch.full((PEOPLE, K, 2), 4.0), (CROP[0] // 4, CROP[1] // 4), 1.0)
    teacher = session.teacher(images) if session.teacher else None
    losses = learner.scheme(learner.network(images), target, torch.ones(PEOPLE, K), 1.0, teacher)
    session.optimizer.zero_grad()
    losses.total.backward()
    session.optimizer.step()
    assert session.average is not None
    session.average.update(learner, session.progress.step)
    session.progress.step += 1


@every_scheme
def test_a_resumed_training_goes_on_as_if_it_had_not_stopped(
    make: Callable[[str], Config], tmp_path: Path, scheme: str
):
    """The scheme's own weights, their optimiser and their average are in the checkpoint."""
    session = Session(make(scheme), MPII16, CPU)
    step(session, pictures(1))
    session.save(tmp_path / "last.pt")

    resumed = Session(make(scheme), MPII16, CPU)
    resumed.restore(tmp_path / "last.pt")
    for either in (session, resumed):
        step(either, pictures(2))

    for ours, theirs in ((session.learner, resumed.learner), (session.judged, resumed.judged)):
        expected, found = ours.state_dict(), theirs.state_dict()
        assert list(found) == list(expected)
        assert [name for name in found if not torch.equal(found[name], expected[name])] == []


@every_scheme
def test_a_student_is_deployed_without_what_taught_it(
    make: Callable[[str], Config], tmp_path: Path, scheme: str
):
    """Of the cost of one that was taught by nobody; its file answers as it does in PyTorch."""
    config = make(scheme)
    session = Session(config, MPII16, CPU)
    step(session, pictures(1))
    session.save_judged(tmp_path / "best.pt")

    stored, skeleton, learner = load_judged(tmp_path / "best.pt", CPU)
    card = Card("branch2", skeleton, CROP, 0.1, run="r", data=(), licence="none")
    export_student(learner.network.cut(2), stored, skeleton, card, tmp_path / "student.onnx")

    assert (stored.network, stored.target) == (config.network, config.target)
    with torch.no_grad():
        maps = learner.network(pictures())
        assert torch.equal(learner.scheme.ensemble(maps), session.judged.scheme.ensemble(maps))
    alone = Session(make("none"), MPII16, CPU).learner.network
    assert student_cost(learner.network, 2, CROP) == student_cost(alone, 2, CROP)
    crops = np.ascontiguousarray(pictures().permute(0, 2, 3, 1).numpy())
    expected = keypoints(learner, crops, config, MPII16, flip_test=False)["branch2"]
    found = Predictor(tmp_path / "student.onnx").infer(crops)
    np.testing.assert_allclose(found, expected, atol=1e-2)
