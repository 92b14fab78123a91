"""What is measured of a student's file, where something of it cannot be had."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.data.readers import LabelledSet
from model.data.synthetic import draw_people
from model.errors import ModelUnusable
from model.evidence import latencies, prepared, sat
from model.latency import device_name
from model.predictor import Predictor
from model.skeletons import MPII16

HEAD = [MPII16.index("upper_neck"), MPII16.index("head_top")]


@pytest.fixture(scope="module")
def student(finished_run) -> Predictor:
    return Predictor(finished_run.student("slim"))


def people_with(*joints: int) -> LabelledSet:
    """Drawn people of whom only some joints are labelled, and whose set tells no head size."""
    kept = np.zeros((len(MPII16), 1), np.float32)
    kept[list(joints)] = 1
    people = [
        replace(person, joints_img=person.joints_img * kept, head_px=None)
        for person in draw_people(5, seed=9, size_px=96)
    ]
    return LabelledSet("some", MPII16, people, "")


def test_the_tolerance_is_one_that_the_set_allows(student: Predictor):
    """Without a torso it is half a head."""
    exam = prepared(people_with(*HEAD), (96, 64), 0.05)

    told = sat(student, exam, flip_test=False).calibration()

    assert told is not None
    assert (told.tolerance, told.joints) == ("pckh@0.5", 10)


def test_without_any_tolerance_nothing_is_claimed(student: Predictor):
    """Wrists alone: there is no size to measure a distance in."""
    exam = prepared(people_with(MPII16.index("left_wrist")), (96, 64), 0.05)

    answered = sat(student, exam, flip_test=False)

    assert answered.calibration() is None
    assert answered.accuracy(chosen_on=False).metrics == {}


def test_a_provider_that_is_not_there_is_refused_by_name(finished_run):
    """Where it was asked for; by itself only what is there is measured."""
    path = finished_run.student("slim")

    with pytest.raises(ModelUnusable, match="TensorrtExecutionProvider"):
        latencies([path], provider="tensorrt")


def test_students_are_timed_by_batch(finished_run):
    """Of each file its own list."""
    told = latencies([finished_run.student(name) for name in ("wide", "slim")], batches=(2,))

    for of in told:
        assert [(latency.provider, latency.batch) for latency in of[:1]] == [("cpu", 2)]


def test_a_processor_has_a_name(tmp_path: Path):
    """As people know it; a GPU that is away has none."""
    assert device_name("cpu").endswith("cores")
    assert device_name("cuda")
