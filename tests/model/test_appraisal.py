"""A receipt for a file that came without one: what is known, and what is not."""

from pathlib import Path

import pytest

from model.appraisal import appraise
from model.data.mixture import open_source
from model.data.readers import LabelledSet
from model.data.synthetic import draw_people
from model.evidence import prepared
from model.receipt import NOT_MEASURED, Receipt, beside, read_receipt
from model.skeletons import MPII16
from model.verify import verify


@pytest.fixture(scope="module")
def path(finished_run) -> Path:
    return finished_run.student("slim")


@pytest.fixture(scope="module")
def made(finished_run, path: Path) -> Receipt:
    """On the validation people, and on some that took no part."""
    own = open_source(finished_run.config.data.valid[0])
    others = LabelledSet("others", MPII16, draw_people(10, seed=50, size_px=96), "")
    return appraise(path, [prepared(labelled, (96, 64), 0.05) for labelled in (own, others)])


def test_what_the_file_tells_is_what_its_run_told(path: Path, made: Receipt):
    """Cost, accuracy and calibration are of the file, whoever measures them."""
    told = read_receipt(beside(path))

    assert (made.file, made.cost) == (told.file, told.cost)
    assert (made.branch, made.run) == (told.branch, told.run)
    assert made.accuracy[0] == told.accuracy[0]
    assert made.calibration[0] == told.calibration[0]
    assert made.licences == told.licences


def test_the_card_says_on_whom_the_epoch_was_chosen(made: Receipt):
    """Its figures are of the validation people."""
    assert [(of.data, of.chosen_on) for of in made.accuracy] == [
        ("synthetic", True),
        ("others", False),
    ]


def test_what_takes_the_run_is_left_open(made: Receipt):
    """Nobody can tell it from the file."""
    assert made.gain == made.parity == NOT_MEASURED
    assert made.config is None
    assert (made.made.code, made.made.command) == (None, None)
    assert [(source.name, source.people) for source in made.data.train] == [("synthetic", None)]


def test_it_holds_when_it_is_verified(path: Path, made: Receipt):
    """As any other."""
    assert {check.verdict for check in verify(path, made, [])} == {"same", "not checked", "told"}
