"""Errors as a person, and another process, gets them."""

import pickle

import pytest

from model.errors import (
    ConfigError,
    DatasetError,
    DiskFull,
    Fault,
    ImageTooLarge,
    PoseError,
    TrainingDiverged,
)


@pytest.mark.parametrize(
    "error",
    [
        ConfigError(
            [Fault("scheme.name", "found 'x'", "none, okdhp"), Fault("data", "is missing")]
        ),
        DatasetError("people.json", 3, "has no box"),
        DiskFull("last.pt"),
        ImageTooLarge(10_000_001, 10_000_000),
        TrainingDiverged("the loss is no number"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_in_another_process(error: PoseError):
    """A rank's ends the whole training: kind, text and all that it carries."""
    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
