"""From finished runs to the document: the numbers are those of the students' own evaluation."""

from typing import Any

import pytest

from model.comparison.gather import gather
from model.comparison.publish import gain_of, publish
from model.comparison.report import check_apart
from model.config import SourceConfig
from model.data.mixture import open_source
from model.errors import ComparisonImpossible, ConfigError
from model.evaluation import evaluate_student
from model.metrics.bootstrap import DRAWS
from model.predictor import Predictor
from model.receipt import NOT_MEASURED, Gain, read_receipt

SET = "synthetic of seed 3"


def line(found: dict[str, Any], row: str, student: str) -> dict[str, Any]:
    return next(e for e in found["lines"] if (e["row"], e["student"]) == (row, student))


def test_the_table_s_numbers_are_those_of_an_evaluation(made, gathered):
    """Of the very file that would be deployed, through the code that serves it."""
    config, _, trained = made
    labelled = open_source(config.report[0])
    for student in ("wide", "slim"):
        onnx = trained["okdhp-s0"].students[student]
        expected = evaluate_student(Predictor(onnx), labelled)["pck@0.2"]

        score = line(gathered, "okdhp", student)["sets"][SET]

        assert score["value"] == pytest.approx(expected["mean"], abs=1e-3)
        assert score["seeds"] == {"0": score["value"], "1": score["value"]}
        assert score["groups"] == pytest.approx(expected["groups"], abs=0.01)
        low, high = score["interval"]
        assert low < score["value"] < high


def test_the_same_runs_under_three_names_do_not_differ(gathered):
    """Not by a hair: the same people are drawn for all."""
    for entry in gathered["lines"]:
        for other in ("to_reference", "to_alone"):
            difference = entry["sets"][SET][other]
            if entry["row"] == {"to_reference": "none", "to_alone": "alone"}[other]:
                assert difference is None
            else:
                assert difference == {"value": 0.0, "interval": [0.0, 0.0], "seeds": [0, 1]}


def test_a_line_tells_what_its_student_and_its_training_cost(made, gathered):
    """From the receipts, the clock, and one loop over all students."""
    receipt = made[2]["okdhp-s0"].receipts["wide"]
    entry = line(gathered, "okdhp", "wide")

    assert entry["parameters"] == receipt.cost.parameters
    assert entry["macs"] == receipt.cost.macs
    assert entry["latency_ms"] > 0
    assert entry["train_ratio"] == 1.0
    assert entry["train_s"] > 0


def test_the_document_tells_how_it_was_made(gathered):
    """A number without its protocol cannot be compared with any."""
    protocol = gathered["protocol"]

    assert protocol["learnt_from"] == [{"name": "synthetic of seed 1", "people": 400}]
    assert protocol["selected_on"] == [{"name": "synthetic of seed 2", "people": 60}]
    assert protocol["reported"] == [{"name": SET, "people": 30, "on_photographs_learnt_from": 0}]
    assert (protocol["epochs"], protocol["reference"]) == (6, "none")
    assert str(DRAWS) in protocol["interval"]


def test_missing_runs_are_named_with_their_reason(made):
    """And the others are still worth a table."""
    config, all_cells, trained = made
    there = {name: run for name, run in trained.items() if name not in ("okdhp-s1", "none-s0")}

    found = gather(config, all_cells, there, {"okdhp-s1": "NaN loss: at step 7"})

    gone = {cell["name"]: cell["missing"] for cell in found["cells"] if "missing" in cell}
    assert gone == {"okdhp-s1": "NaN loss: at step 7", "none-s0": "has not run"}
    okdhp = line(found, "okdhp", "wide")["sets"][SET]
    assert list(okdhp["seeds"]) == ["0"]
    assert okdhp["to_reference"] is None  # they share no seed
    assert okdhp["to_alone"]["seeds"] == [0]


@pytest.mark.parametrize("there", [[], ["okdhp-s0"], ["none-s0", "none-s1"]])
def test_without_anything_to_compare_with_there_is_no_table(made, there: list[str]):
    """A lone number is what this is there to avoid."""
    config, all_cells, trained = made

    with pytest.raises(ComparisonImpossible, match=r"of 3 rows are there.*okdhp-s1: NaN loss"):
        gather(config, all_cells, {n: trained[n] for n in there}, {"okdhp-s1": "NaN loss"})


def test_gathering_ends_when_it_is_told_to(made):
    """A job is cancelled between two students, not after all of them."""

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather(*made, {}, go_on=stop)


def test_the_winner_s_receipt_tells_the_gain_of_its_way(made, gathered, tmp_path):
    """Over the same student alone, with its interval, and where it was measured."""
    names = publish(gathered, made[2], tmp_path, source="comparison x")

    assert set(names) == {file.name for file in tmp_path.iterdir()}
    receipt = read_receipt(tmp_path / "winner.receipt.json")
    winner = gathered["winner"]
    run = made[2][winner["cell"]]
    shipped = run.students[winner["branch"]]
    assert (tmp_path / "winner.onnx").read_bytes() == shipped.read_bytes()
    # Of lines that are equal the first wins: the student alone, which is held against `none`.
    assert receipt.gain == Gain(
        metric="pck@0.2",
        points=0.0,
        interval_95=(0.0, 0.0),
        seeds=(0, 1),
        against="none",
        data=SET,
        source="comparison x",
    )
    assert receipt.model_copy(update={"gain": NOT_MEASURED}) == run.receipts[winner["branch"]]


def test_of_the_student_alone_no_gain_is_told_where_nothing_else_is_measured(gathered):
    """It is what others are measured against."""
    alone = gathered | {"winner": gathered["winner"] | {"line": 0}}
    scores = {SET: alone["lines"][0]["sets"][SET] | {"to_reference": None}}
    alone["lines"] = [alone["lines"][0] | {"sets": scores}, *alone["lines"][1:]]

    assert gain_of(alone, "comparison x") == NOT_MEASURED


def test_people_who_are_in_two_folders_are_found(tmp_path, write_coco, make_config):
    """Their descriptions do not tell that one set is a copy of a part of the other."""
    from model.data.synthetic import draw_people
    from model.skeletons import COCO17

    people = draw_people(3, seed=1, size_px=64, skeleton=COCO17)
    write_coco(tmp_path / "one", people, COCO17)
    (tmp_path / "two").symlink_to(tmp_path / "one")
    config = make_config()
    learnt = SourceConfig(format="coco", path=tmp_path / "one", people=2)
    config = config.model_copy(update={"data": config.data.model_copy(update={"train": (learnt,)})})

    def report(skip: int) -> list[SourceConfig]:
        return [SourceConfig(format="coco", path=tmp_path / "two", skip=skip)]

    check_apart(report(2), config)
    with pytest.raises(ConfigError, match=r"report\[0\]: 1 of 2 people are in config.data.train"):
        check_apart(report(1), config)
