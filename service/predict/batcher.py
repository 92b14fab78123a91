"""One model's inferences, a batch at a time: the crops of all who wait share it.

A batcher has no threads of its own. Whoever has submitted crops lends it the thread: that one takes
as many waiting crops as fit, runs them, hands each request its rows, and goes on until nobody
waits. While as many inferences run as may at once, the next batch gathers; so a busy server makes
large batches, a calm one waits for nobody, and where a core runs an inference by itself, a
photograph stays in one thread from its bytes to its joints.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.predictor import Predictor

BATCH: Final = 16
"""Crops in one inference, where nobody says otherwise."""
Ran = Callable[[int, float], None]
"""Told of every batch: how many crops it had, and how long it ran in seconds."""


@dataclass(frozen=True)
class Inferred:
    """keypoints float32 `[n, K, 3]` in crop pixels, `[n, K, 4]` where the student tells `visible`;
    how long its crops waited, and then took."""

    keypoints: NDArray[np.float32]
    waited_s: float
    ran_s: float


class _Request:
    """Crops of one caller, taken in one batch or in several. Its batcher's lock guards it."""

    def __init__(self, crops: NDArray[np.uint8], flip_test: bool, form: tuple[int, int]) -> None:
        """form: joints, and numbers of each."""
        self.crops, self.flip_test = crops, flip_test
        self.answer: Future[Inferred] = Future()
        self.since = time.perf_counter()
        self._begun = self.since
        self._keypoints = np.empty((len(crops), *form), np.float32)
        self._taken = self._missing = 0

    @property
    def left(self) -> int:
        """Crops that no batch has taken."""
        return len(self.crops) - self._taken

    def begins(self) -> bool:
        """Whether its crops may be taken; False once it was cancelled, which it then cannot be."""
        if self._taken:
            return True
        self._begun = time.perf_counter()
        self._missing = len(self.crops)
        return self.answer.set_running_or_notify_cancel()

    def take(self, most: int) -> slice:
        """The next crops, at most so many."""
        first = self._taken
        self._taken = min(len(self.crops), first + most)
        return slice(first, self._taken)

    def fill(self, crops: slice, keypoints: NDArray[np.float32]) -> bool:
        """Keep the answers of those crops; True with the last."""
        self._keypoints[crops] = keypoints
        self._missing -= len(keypoints)
        return self._missing == 0

    def fail(self) -> bool:
        """Take no more of it; True for the first of its batches that failed."""
        self._taken = len(self.crops)
        first, self._missing = self._missing >= 0, -1
        return first

    def give(self) -> None:
        """Answer it."""
        now = time.perf_counter()
        waited_s, ran_s = self._begun - self.since, now - self._begun
        self.answer.set_result(Inferred(self._keypoints, waited_s, ran_s))


_Batch = list[tuple[_Request, slice]]
"""Whose crops are in an inference, and which of them."""


class Batcher:
    """Runs a predictor for many callers. Safe to call from any thread."""

    def __init__(
        self,
        predictor: Predictor,
        *,
        most: int = BATCH,
        delay_s: float = 0.0,
        at_once: int = 1,
        ran: Ran | None = None,
    ) -> None:
        """most: crops in one batch. delay_s: how long a batch that is not full waits for more.

        at_once: how many batches may run at the same time.
        """
        self._predictor = predictor
        self._visible = predictor.card.tells_visible
        self._form = (len(predictor.card.skeleton), 4 if self._visible else 3)
        self._most, self._delay_s, self._ran = most, delay_s, ran
        self._queue: deque[_Request] = deque()
        self._changed = threading.Condition()
        # Filled anew for every batch: no memory is asked for while requests are answered.
        self._idle = [_Rows(most, predictor.card.size) for _ in range(at_once)]

    def submit(self, crops: NDArray[np.uint8], *, flip_test: bool = False) -> "Future[Inferred]":
        """Let crops wait for their inference: uint8 `[n, H, W, 3]`, n at least 1.

        `work` must follow, in a thread that has the time. Nothing is computed for a future that is
        cancelled while its crops still wait.
        """
        request = _Request(crops, flip_test, self._form)
        with self._changed:
            self._queue.append(request)
            self._changed.notify()
        return request.answer

    def work(self) -> None:
        """Infer until nothing waits; returns at once where enough threads do so already."""
        with self._changed:
            if not self._idle:
                return  # one of those that work looks again before it ends
            rows = self._idle.pop()
        while batch := self._next(rows):
            self._infer(batch, rows)

    def _infer(self, batch: _Batch, rows: "_Rows") -> None:
        total = sum(_count(crops) for _, crops in batch)
        began = time.perf_counter()
        try:
            keypoints = self._predictor.infer(
                rows.crops[:total], flip_test=rows.flips[:total], visible=self._visible
            )
        except Exception as error:  # the runtime's own kinds share no base class
            self._fail(batch, error)
            return
        if self._ran is not None:
            self._ran(total, time.perf_counter() - began)
        whole, first = [], 0
        with self._changed:
            for request, crops in batch:
                until = first + _count(crops)
                if request.fill(crops, keypoints[first:until]):
                    whole.append(request)
                first = until
        for request in whole:
            request.give()

    def _fail(self, batch: _Batch, error: Exception) -> None:
        with self._changed:
            failed = [request for request, _ in batch if request.fail()]
            if self._queue and not self._queue[0].left:  # the rest of it is not worth taking
                self._queue.popleft()
        for request in failed:
            request.answer.set_exception(error)

    def _next(self, rows: "_Rows") -> _Batch:
        """What now lies in the rows; empty when nobody waits, and the rows are idle again."""
        with self._changed:
            while self._queue:
                self._gather()
                if batch := self._fill(rows):
                    return batch
            self._idle.append(rows)
            return []

    def _gather(self) -> None:
        """Waits for more, until the batch is full or its first crop has waited long enough."""
        while self._queue and sum(request.left for request in self._queue) < self._most:
            left = self._queue[0].since + self._delay_s - time.perf_counter()
            if left <= 0:
                return
            self._changed.wait(left)

    def _fill(self, rows: "_Rows") -> _Batch:
        batch: _Batch = []
        total = 0
        while self._queue and total < self._most:
            request = self._queue[0]
            if request.begins():
                crops = request.take(self._most - total)
                place = slice(total, total + _count(crops))
                rows.crops[place], rows.flips[place] = request.crops[crops], request.flip_test
                total = place.stop
                batch.append((request, crops))
            if not request.left or request.answer.cancelled():
                self._queue.popleft()
        return batch


def _count(crops: slice) -> int:
    count: int = crops.stop - crops.start
    return count


class _Rows:
    """What one inference reads: crops uint8 `[most, H, W, 3]`, and which of them are mirrored."""

    def __init__(self, most: int, size: tuple[int, int]) -> None:
        self.crops = np.empty((most, *size, 3), np.uint8)
        self.flips = np.empty(most, bool)
