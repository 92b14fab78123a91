"""Receipts on disk: read back as they were, and refused by what is wrong with them."""

import json
from pathlib import Path
from typing import Any

import pytest

from model.errors import ReceiptUnusable
from model.receipt import (
    NOT_MEASURED,
    Figure,
    Receipt,
    beside,
    measured,
    read_receipt,
    write_receipt,
)


@pytest.fixture
def written(finished_run) -> Path:
    return beside(finished_run.student("slim"))


def test_a_receipt_comes_back_as_it_was(written: Path, tmp_path: Path) -> None:
    """Also to the byte: it may be signed or compared."""
    write_receipt(tmp_path / "again.json", read_receipt(written))

    assert (tmp_path / "again.json").read_bytes() == written.read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "has format 2; this code reads 1"),
        ({"format": None}, "has format None"),
        ({"cost": {"parameters": 5}}, "cost"),
        ({"gain": "quite good"}, "gain"),
        ({"praise": "very good"}, "praise"),
    ],
)
def test_what_this_code_did_not_write_is_refused(
    written: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    """By the place that is wrong: a receipt that is half understood is worse than none."""
    path = tmp_path / "odd.receipt.json"
    path.write_text(json.dumps(json.loads(written.read_text()) | change))

    with pytest.raises(ReceiptUnusable, match=words) as caught:
        read_receipt(path)

    assert "odd.receipt.json" in str(caught.value)


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\xff"])
def test_a_damaged_receipt_is_named(tmp_path: Path, content: bytes | None) -> None:
    """Not there, cut off, of another kind, no text."""
    path = tmp_path / "student.receipt.json"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ReceiptUnusable, match=r"student\.receipt\.json"):
        read_receipt(path)


def test_of_what_nobody_measured_there_are_no_claims(written: Path) -> None:
    """Whoever reads them need not ask first."""
    receipt = read_receipt(written)

    assert measured(receipt.accuracy) == receipt.accuracy
    assert measured(NOT_MEASURED) == ()


def test_figures_read_as_the_tables_have_them() -> None:
    """PCK in percent, AP within 0…1."""
    assert Figure(value=68.757, interval_95=(66.37, 71.0)).text("pck@0.2") == "68.8 (66.4–71.0)"
    assert Figure(value=0.4567).text("AP") == "0.457"


def test_the_schema_can_be_published() -> None:
    """The API's document has it."""
    assert "parity" in Receipt.model_json_schema()["properties"]
