"""Crops of several callers share a batch, and everybody gets the answers to his own."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.predictor import BUNDLED, Predictor
from service.predict.batcher import Batcher, Inferred

MOST = 4


@pytest.fixture(scope="module")
def predictor(brightest: Path) -> Predictor:
    return Predictor(brightest)


class Slow(Predictor):
    """A real predictor whose batches wait until they are let go."""

    def __init__(self, path: Path) -> None:
        self.go = threading.Event()
        self.go.set()
        self.began = threading.Event()
        super().__init__(path)

    def infer(self, crops: NDArray[np.uint8], **options: object) -> NDArray[np.float32]:
        self.began.set()
        self.go.wait(10)
        return super().infer(crops, **options)  # type: ignore[arg-type]


def ask(
    batcher: Batcher, crops: NDArray[np.uint8], *, flip_test: bool = False
) -> "Future[Inferred]":
    """Submits crops, and lends a thread."""
    answer = batcher.submit(crops, flip_test=flip_test)
    threading.Thread(target=batcher.work, daemon=True).start()
    return answer


@pytest.fixture
def held(brightest: Path) -> Iterator[tuple[Slow, Batcher, list[int]]]:
    """A batcher that is busy with one crop, and the sizes of the batches that ran."""
    slow, sizes = Slow(brightest), list[int]()
    batcher = Batcher(slow, most=MOST, ran=lambda crops, _: sizes.append(crops))
    slow.go.clear()
    slow.began.clear()
    ask(batcher, spots((1, 1)))
    assert slow.began.wait(10)
    yield slow, batcher, sizes
    slow.go.set()


def spots(*places: tuple[int, int]) -> NDArray[np.uint8]:
    """Dark crops, each with one bright pixel at (x, y)."""
    crops = np.zeros((len(places), 64, 64, 3), np.uint8)
    for crop, (x, y) in zip(crops, places, strict=True):
        crop[y, x] = 255
    return crops


place = st.tuples(st.integers(0, 63), st.integers(0, 63))


@given(
    st.lists(st.lists(place, min_size=1, max_size=9), min_size=1, max_size=12), st.integers(1, 3)
)
@settings(max_examples=30, deadline=None)
def test_everybody_gets_the_answers_to_his_own_crops(
    predictor: Predictor, requests: list[list[tuple[int, int]]], at_once: int
) -> None:
    """However requests are cut and joined to batches, also one larger than a batch."""
    batcher = Batcher(predictor, most=MOST, at_once=at_once)

    answers = [ask(batcher, spots(*places)) for places in requests]

    for places, answer in zip(requests, answers, strict=True):
        found = answer.result(10).keypoints
        assert found.shape == (len(places), 16, 3)
        assert [tuple(joints[0, :2]) for joints in found] == places


def test_who_waits_shares_the_next_batch(held: tuple[Slow, Batcher, list[int]]) -> None:
    """Full as far as there are crops; what does not fit comes next."""
    slow, batcher, sizes = held

    answers = [ask(batcher, spots((i, i), (i, 0))) for i in range(3)]
    slow.go.set()

    assert not wait(answers, 10).not_done
    assert sizes == [1, 4, 2]


def test_a_request_that_was_cancelled_while_it_waited_is_never_computed(
    held: tuple[Slow, Batcher, list[int]],
) -> None:
    """Its client has gone or its deadline has passed."""
    slow, batcher, sizes = held

    dropped, kept = ask(batcher, spots((2, 2))), ask(batcher, spots((3, 3)))
    assert dropped.cancel()
    slow.go.set()

    assert tuple(kept.result(10).keypoints[0, 0, :2]) == (3, 3)
    assert sizes == [1, 1]


def test_flip_test_is_everybodys_own_choice() -> None:
    """Some of a batch may want it and others not: the student that ships tells them apart."""
    predictor = Predictor(BUNDLED)
    crop = np.random.default_rng(0).integers(0, 256, (1, *predictor.card.size, 3), np.uint8)
    batcher = Batcher(predictor, most=MOST, delay_s=10)

    answers = [ask(batcher, crop, flip_test=flip) for flip in (True, False, True, False)]
    turned, plain = (predictor.infer(crop, flip_test=flip, visible=True) for flip in (True, False))

    assert not np.allclose(turned, plain, atol=0.5)
    for answer, alone in zip(answers, (turned, plain) * 2, strict=True):
        np.testing.assert_allclose(answer.result(10).keypoints, alone, atol=1e-3)


def test_who_is_seen_comes_with_the_keypoints_of_a_student_that_tells_it() -> None:
    """Also of a request that is cut into several batches; the mirror is averaged in as there."""
    predictor = Predictor(BUNDLED)
    crops = np.random.default_rng(0).integers(0, 256, (5, *predictor.card.size, 3), np.uint8)
    batcher = Batcher(predictor, most=2)
    flips = (True, False)

    answers = [ask(batcher, crops, flip_test=flip) for flip in flips]

    for answer, flip in zip(answers, flips, strict=True):
        expected = predictor.infer(crops, flip_test=flip, visible=True)
        found = answer.result(10).keypoints
        np.testing.assert_allclose(found[..., :2], expected[..., :2], atol=1e-3)
        np.testing.assert_allclose(found[..., 2:], expected[..., 2:], atol=1e-4)


def test_a_batch_that_is_not_full_waits_for_more_as_long_as_it_is_told(
    brightest: Path,
) -> None:
    """On a GPU a fuller batch is worth a millisecond."""
    sizes: list[int] = []
    batcher = Batcher(
        Predictor(brightest), most=2, delay_s=10, ran=lambda crops, _: sizes.append(crops)
    )

    first = ask(batcher, spots((1, 2)))
    second = ask(batcher, spots((3, 4)))

    assert not wait([first, second], 5).not_done, "a full batch waits for nobody"
    assert sizes == [2]


def test_an_error_reaches_all_of_its_batch_and_nobody_else(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime that fails once must not stop who comes next."""
    batcher = Batcher(predictor, most=MOST, delay_s=0.05)
    infer: Callable[..., NDArray[np.float32]] = predictor.infer

    def failing(crops: NDArray[np.uint8], **options: object) -> NDArray[np.float32]:
        monkeypatch.setattr(predictor, "infer", infer)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(predictor, "infer", failing)
    large = ask(batcher, spots(*[(1, 1)] * 6))
    with pytest.raises(RuntimeError, match="out of memory"):
        large.result(10)

    assert tuple(ask(batcher, spots((9, 8))).result(10).keypoints[0, 0, :2]) == (9, 8)


@pytest.mark.parametrize("failures", [1, 2])
def test_a_request_in_two_batches_fails_once(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """Whether the other half, which runs at the same time, succeeds or fails."""
    together, left = threading.Barrier(2), iter([True] * failures + [False])
    infer: Callable[..., NDArray[np.float32]] = predictor.infer

    def failing(crops: NDArray[np.uint8], **options: object) -> NDArray[np.float32]:
        together.wait(10)
        if next(left):
            raise RuntimeError("out of memory")
        return infer(crops, **options)

    batcher = Batcher(predictor, most=MOST, at_once=2)
    monkeypatch.setattr(predictor, "infer", failing)
    large = batcher.submit(spots(*[(1, 1)] * 2 * MOST))
    with ThreadPoolExecutor() as threads:
        ended = [threads.submit(batcher.work) for _ in range(2)]

    assert [one.exception() for one in ended] == [None, None]
    with pytest.raises(RuntimeError, match="out of memory"):
        large.result(10)
    monkeypatch.setattr(predictor, "infer", infer)
    assert tuple(ask(batcher, spots((9, 8))).result(10).keypoints[0, 0, :2]) == (9, 8)
