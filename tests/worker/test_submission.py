"""Posting jobs: checked whole before anything is written."""

import json
from collections.abc import Iterator

import pytest
from PIL import Image

from model.errors import ConfigError
from worker.announcer import Announcer
from worker.app import create_celery
from worker.errors import (
    BrokerUnusable,
    DatasetNotFound,
    IdempotencyConflict,
    KindUnknown,
    ModelNotFound,
)
from worker.settings import WorkerSettings
from worker.stores import Stores, open_stores
from worker.submission import submit

SYNTHETIC = {"format": "synthetic", "people": 4, "seed": 1}


@pytest.fixture
def stores(settings: WorkerSettings) -> Iterator[Stores]:
    """Their broker is away: nothing listens at port 1."""
    opened = open_stores(settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"}))
    yield opened
    opened.close()


@pytest.fixture
def announcer(stores: Stores) -> Announcer:
    return Announcer(create_celery(stores.settings), stores.jobs)


def test_a_preset_is_enough(stores: Stores, announcer: Announcer) -> None:
    """Every other value is resolved and stored; a broker that is away is no error."""
    job, new = submit(stores, announcer, "distill", {"preset": "tiny"})

    assert new
    assert job.config == {"preset": "tiny"}
    assert job.resolved["training"]["seed"] == 0
    assert job.resolved["data"]["train"][0]["format"] == "synthetic"
    assert stores.jobs.unannounced() == [job.id]


def test_a_repeated_post_does_not_look_at_the_config_again(
    stores: Stores, announcer: Announcer
) -> None:
    """Its data set may be gone meanwhile: the client still gets its job."""
    posted = {"preset": "tiny"}
    first, _ = submit(stores, announcer, "distill", posted, idempotency_key="k")

    again, new = submit(stores, announcer, "distill", posted, idempotency_key="k")

    assert (again.id, new) == (first.id, False)
    with pytest.raises(IdempotencyConflict):
        submit(stores, announcer, "distill", {"preset": "nonsense"}, idempotency_key="k")


@pytest.mark.parametrize(
    ("kind", "config", "error", "message"),
    [
        ("destill", {}, KindUnknown, "unknown job kind 'destill'; .* did you mean distill"),
        ("distill", {"preset": "tiny", "trainig": {}}, ConfigError, "trainig: unknown key"),
        ("distill", {"preset": "tiny", "training": {"epochs": 0}}, ConfigError, "training.epochs"),
        (
            "distill",
            {"preset": "tiny", "data": {"train": [{"dataset": "gym"}]}},
            DatasetNotFound,
            "there is no data set 'gym'",
        ),
        (
            "distill",
            {"preset": "tiny", "data": {"valid": [{"format": "lsp", "path": "/etc"}]}},
            ConfigError,
            r"data\.valid\[0\]\.path: a job cannot name a path of the server",
        ),
        ("evaluate", {}, ConfigError, "data: is missing"),
        ("evaluate", {"data": SYNTHETIC, "model": "x"}, ModelNotFound, "there is no model 'x'"),
        ("evaluate", {"data": SYNTHETIC}, ModelNotFound, "no model is in production yet"),
        ("evaluate", {"data": SYNTHETIC, "modell": "x"}, ConfigError, "modell: unknown key"),
        ("evaluate", {"data": {"format": "coco", "path": "x"}}, ConfigError, r"data\.path"),
    ],
)
def test_what_cannot_work_is_refused_and_not_written(
    stores: Stores,
    announcer: Announcer,
    kind: str,
    config: dict,
    error: type[Exception],
    message: str,
) -> None:
    """A job that fails after an hour in the queue would be worse."""
    with pytest.raises(error, match=message):
        submit(stores, announcer, kind, config)

    assert stores.jobs.page().jobs == []


def test_without_a_broker_s_url_there_is_no_celery(settings: WorkerSettings) -> None:
    """The message says what to set."""
    with pytest.raises(BrokerUnusable, match="OKDHP_BROKER_URL"):
        create_celery(settings)


def test_a_split_that_a_set_does_not_have_is_refused(stores: Stores, announcer: Announcer) -> None:
    """The set was read when it was registered: its splits are known."""
    folder = stores.settings.data_dir / "gym"
    (folder / "annotations").mkdir(parents=True)
    category = {"id": 1, "name": "person", "keypoints": ["nose"], "skeleton": []}
    person = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [0, 0, 9, 9],
        "keypoints": [4, 4, 2],
    }
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    (folder / "annotations/person_keypoints_train.json").write_text(
        json.dumps(
            {
                "categories": [category],
                "images": [{"id": 1, "file_name": "a.png"}],
                "annotations": [person],
            }
        )
    )
    stores.datasets.register("gym", "coco", "gym")
    source = {"dataset": "gym", "split": "valid"}

    with pytest.raises(
        ConfigError, match=r"data\.train\[0\]\.split: .* no split 'valid'; accepted: train"
    ):
        submit(stores, announcer, "distill", {"preset": "tiny", "data": {"train": [source]}})
