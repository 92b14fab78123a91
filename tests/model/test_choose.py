"""The best branch within a budget of time."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.choose import Option, best_within, draw, option_of, options
from model.config import SourceConfig
from model.data.mixture import open_source
from model.errors import CheckpointUnusable, DatasetError, ModelUnusable
from model.evaluation import evaluate_student
from model.predictor import Predictor
from model.receipt import Latency, Receipt, beside, read_receipt

OTHERS = SourceConfig(format="synthetic", people=20, seed=8, size_px=96)


@pytest.fixture(scope="module")
def receipt(finished_run) -> Receipt:
    return read_receipt(beside(finished_run.student("slim")))


def option(receipt: Receipt, branch: str, score: float, ms: float) -> Option:
    """A branch of a given accuracy and speed."""
    (accuracy,) = receipt.accuracy
    figure = accuracy.metrics["pck@0.2"].model_copy(
        update={"value": score, "interval_95": (score - 2, score + 2)}
    )
    told = accuracy.model_copy(update={"metrics": {"pck@0.2": figure}})
    return Option(
        branch=branch,
        file=Path(f"{branch}.onnx"),
        receipt=receipt.model_copy(update={"accuracy": (told,)}),
        metric="pck@0.2",
        score=score,
        latency=Latency(device="abacus", provider="cpu", threads=1, batch=1, median_ms=ms),
    )


def test_the_most_accurate_that_is_fast_enough_is_chosen(receipt: Receipt):
    """Of equals the faster; the best of all is too slow here."""
    found = [
        option(receipt, "pico", 60, 2),
        option(receipt, "slow", 70, 7.9),
        option(receipt, "nano", 70, 5),
        option(receipt, "large", 80, 8.1),
    ]

    chosen = {budget: best_within(found, budget) for budget in (1, 2, 8, 9)}

    assert {budget: of and of.branch for budget, of in chosen.items()} == {
        1: None,
        2: "pico",
        8: "nano",
        9: "large",
    }


def test_accuracy_against_latency_can_be_looked_at(receipt: Receipt, tmp_path: Path):
    """The chosen one stands out, and so does the budget."""
    found = [option(receipt, "pico", 60, 2), option(receipt, "nano", 70, 5)]

    draw(found, 4, found[0], tmp_path / "chosen.png")
    draw(found, 4, None, tmp_path / "none.png")

    chosen, none = (
        np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int)
        for name in ("chosen.png", "none.png")
    )
    assert chosen.shape == none.shape
    green = (chosen[..., 1] - chosen[..., 0] > 60) & (chosen[..., 1] - chosen[..., 2] > 60)
    assert green.any()
    assert (np.abs(chosen - none).max(-1) > 60).any()


@pytest.fixture(scope="module")
def found(finished_run, tmp_path_factory: pytest.TempPathFactory) -> list[Option]:
    """Both branches of the run, judged on people of our own."""
    folder = tmp_path_factory.mktemp("options")
    return options(finished_run.folder, [OTHERS], folder, provider="cpu")


def test_every_branch_is_measured_here(found: list[Option]):
    """Its file answers the given people; the latency is of one crop."""
    assert [of.branch for of in found] == ["wide", "slim"]
    for of in found:
        expected = evaluate_student(Predictor(of.file), open_source(OTHERS))
        assert of.score == pytest.approx(expected["pck@0.2"]["mean"], abs=1e-3)
        assert of.latency.batch == 1
        assert of.ms > 0
        (held,) = of.receipt.parity
        assert held.people == 20
        assert not of.receipt.accuracy[0].chosen_on


def test_people_without_a_size_give_nothing_to_choose_by(receipt: Receipt):
    """Wrists alone: the set is named."""
    (accuracy,) = receipt.accuracy
    bare = receipt.model_copy(update={"accuracy": (accuracy.model_copy(update={"metrics": {}}),)})

    with pytest.raises(DatasetError, match="synthetic: nobody has the labels"):
        option_of("slim", Path("slim.onnx"), bare, "pck@0.2")


def test_another_metric_stands_in_where_the_run_s_own_cannot_be_measured(receipt: Receipt):
    """A run that was judged by AP, on people without areas."""
    assert option_of("slim", Path("slim.onnx"), receipt, "AP").metric == "pck@0.2"
    assert option_of("slim", Path("slim.onnx"), receipt, "pckh@0.5").metric == "pckh@0.5"


def test_sets_count_by_their_people(receipt: Receipt):
    """Three times as many count three times as much."""
    few, many = (
        option(receipt, "a", score, 1).receipt.accuracy[0].model_copy(update={"people": people})
        for score, people in ((40, 10), (80, 30))
    )
    both = receipt.model_copy(update={"accuracy": (few, many)})

    assert option_of("a", Path("a.onnx"), both, "pck@0.2").score == 70


def test_what_is_no_run_and_what_cannot_run_are_refused(finished_run, tmp_path: Path):
    """A mistyped folder, and a provider of another machine."""
    with pytest.raises(CheckpointUnusable, match=r"no checkpoint best\.pt"):
        options(tmp_path, [], tmp_path, provider="cpu")
    with pytest.raises(ModelUnusable, match="unknown provider 'abacus'"):
        options(finished_run.folder, [OTHERS], tmp_path, provider="abacus")
