"""Two processes on the CPU train as one: gradients, validation, stopping and going on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from model.errors import ConfigError
from model.training.parallel.processes import joined, pick_own_device

ROOT = Path(__file__).parents[4]
RANKS = Path(__file__).with_name("ranks.py")


@pytest.fixture(scope="module")
def ranks(make_config, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes that torchrun started found; `ranks.py` says how."""
    folder = tmp_path_factory.mktemp("ranks")
    config = make_config(
        "network.depth=1",
        "network.branches=[{name: pico}, {name: nano, width: 12}]",
        "augment.half_body=0.3",
        "augment.shift=0.1",
        "training.epochs=9",
        "training.amp=fp32",
    )
    (folder / "config.json").write_text(json.dumps(config.model_dump(mode="json")))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", RANKS, folder / "config.json", folder],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"rank{r}.pt", weights_only=False) for r in (0, 1)]


def assert_near(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], share: float) -> None:
    """No value differs by more than a share of the largest one of all."""
    assert a.keys() == b.keys()
    largest = max(tensor.abs().max().item() for tensor in b.values())
    for name, tensor in a.items():
        assert (tensor - b[name]).abs().max().item() <= share * largest, name


def test_everybody_of_a_batch_is_computed_once(ranks: list[dict[str, Any]]):
    """Eleven people: neighbours, five here and six there."""
    assert [rank["share"] for rank in ranks] == [(0, 5, 1), (5, 11, 1)]


@pytest.mark.parametrize("form", ["mse", "ce"])
def test_gradients_are_those_of_one_process_with_the_joint_batch(
    ranks: list[dict[str, Any]], form: str
):
    """Where labels are spread unevenly too: means are over the labels of all."""
    alone, *processes = (ranks[0]["alone"][form], *(rank["group"][form] for rank in ranks))

    for found in processes:
        assert found["loss"] == pytest.approx(alone["loss"], rel=1e-6)
        assert_near(found["gradients"], alone["gradients"], 1e-6)


@pytest.mark.parametrize("form", ["mse", "ce"])
def test_normalisation_sees_all_processes_people(ranks: list[dict[str, Any]], form: str):
    """What evaluation normalises by is of the joint batch, in every process."""
    for rank in ranks:
        assert_near(rank["group"][form]["norms"], ranks[0]["alone"][form]["norms"], 1e-9)


def test_parts_of_a_batch_add_up_to_it(ranks: list[dict[str, Any]]):
    """`training.accumulate`, alone and in processes, but for normalisation, which is a part's."""
    whole = ranks[0]["alone"]["whole"]
    for found in (ranks[0]["alone"], *(rank["group"] for rank in ranks)):
        assert found["parts"]["loss"] == pytest.approx(whole["loss"], rel=1e-6)
        assert_near(found["parts"]["gradients"], whole["gradients"], 1e-6)
        assert_near(found["whole"]["gradients"], whole["gradients"], 1e-6)


def test_no_validation_person_is_scored_twice_or_left_out(ranks: list[dict[str, Any]]):
    """Each process cuts out its own; all have everybody's answers, in their order."""
    alone = ranks[0]["alone"]

    assert [rank["group"]["crops"] for rank in ranks] == [2, 2]
    assert alone["crops"] == 4
    for rank in ranks:
        for name, points in alone["found"].items():
            assert rank["group"]["found"][name] == pytest.approx(points, abs=1e-3)
        assert rank["group"]["scores"] == alone["scores"]


@pytest.mark.parametrize("way", ["1 → 2", "2 → 1", "2 → 2"])
def test_going_on_in_other_processes_is_the_same_training(ranks: list[dict[str, Any]], way: str):
    """Stopped within an epoch; order, augmentation and schedules do not depend on who computes."""
    alone = ranks[0]["1 → 1"]
    for rank in ranks:
        if way in rank:
            assert_near(rank[way]["weights"], alone["weights"], 1e-6)
    assert ranks[0]["2 → 2"]["loss"] == pytest.approx(alone["loss"], rel=1e-5)


def test_torchruns_number_of_processes_must_be_the_asked_for(
    make_config, monkeypatch: pytest.MonkeyPatch
):
    """Or none is asked for: then it is what torchrun started."""
    for name, value in {"RANK": 0, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))

    with (
        pytest.raises(ConfigError) as caught,
        joined(make_config("training.devices=3"), "cpu"),
    ):
        pass

    assert str(caught.value) == (
        "training.devices: asks for 3, but torchrun started 2 processes; "
        "accepted: 2, or 1 to take what is there"
    )


def test_several_processes_do_not_share_one_named_device():
    """`cpu:0` stands in for `cuda:0`, which a machine without one refuses first."""
    with pytest.raises(ConfigError, match="'cpu:0' is one device, of 2 processes; accepted: auto"):
        pick_own_device("cpu:0", 1, 2)

    assert pick_own_device("cpu", 1, 2) == torch.device("cpu")
