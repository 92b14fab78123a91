"""One model's inferences, a batch at a time: the crops of all who wait share it.

A thread of its own takes as many queued crops as fit, runs them, and hands each request its rows.
While a batch runs the next one gathers, so a busy server makes large batches and a calm one waits
for nobody.
"""

import threading
import time
import weakref
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
    """keypoints float32 `[n, K, 3]` in crop pixels; how long its crops waited, and then took."""

    keypoints: NDArray[np.float32]
    waited_s: float
    ran_s: float


class _Request:
    """Crops of one caller, taken in one batch or in several."""

    def __init__(self, crops: NDArray[np.uint8], flip_test: bool, joints: int) -> None:
        self.crops, self.flip_test = crops, flip_test
        self.answer: Future[Inferred] = Future()
        self.since = time.perf_counter()
        self._begun = self.since
        self._keypoints = np.empty((len(crops), joints, 3), np.float32)
        self._taken = self._done = 0

    @property
    def left(self) -> int:
        """Crops that no batch has taken."""
        return len(self.crops) - self._taken

    def begins(self) -> bool:
        """Whether its crops may be taken; False once it was cancelled, which it then cannot be."""
        if self._taken:
            return True
        self._begun = time.perf_counter()
        return self.answer.set_running_or_notify_cancel()

    def take(self, most: int) -> NDArray[np.uint8]:
        """The next crops, at most so many."""
        first = self._taken
        self._taken = min(len(self.crops), first + most)
        return self.crops[first : self._taken]

    def give(self, keypoints: NDArray[np.float32]) -> None:
        """The answers of the crops that were taken first; the last of them answers the request."""
        until = self._done + len(keypoints)
        self._keypoints[self._done : until] = keypoints
        self._done = until
        if until == len(self.crops):
            now = time.perf_counter()
            inferred = Inferred(self._keypoints, self._begun - self.since, now - self._begun)
            self.answer.set_result(inferred)


class Batcher:
    """Runs a predictor for many callers. Safe to call from any thread.

    Its thread ends with the batcher itself: when whoever serves it, and the last request that
    holds it, have let go.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        most: int = BATCH,
        delay_s: float = 0.0,
        ran: Ran | None = None,
    ) -> None:
        """most: crops in one batch. delay_s: how long a batch that is not full waits for more."""
        self._joints = len(predictor.card.skeleton)
        self._line = _Line(predictor, most, delay_s, ran)
        # The thread holds the line, never the batcher, so that this is seen to be let go.
        thread = threading.Thread(target=self._line.work, name="inference", daemon=True)
        thread.start()
        weakref.finalize(self, self._line.close)

    def submit(self, crops: NDArray[np.uint8], *, flip_test: bool = False) -> "Future[Inferred]":
        """crops uint8 `[n, H, W, 3]`, n at least 1.

        Nothing is computed for a future that is cancelled while its crops still wait.
        """
        request = _Request(crops, flip_test, self._joints)
        self._line.add(request)
        return request.answer


class _Line:
    """The requests that wait, and the thread that serves them."""

    def __init__(self, predictor: Predictor, most: int, delay_s: float, ran: Ran | None) -> None:
        self._predictor = predictor
        self._most, self._delay_s, self._ran = most, delay_s, ran
        self._queue: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closing = False
        # Filled anew for every batch: no memory is asked for while requests are answered.
        self._crops = np.empty((most, *predictor.card.size, 3), np.uint8)
        self._flips = np.empty(most, bool)

    def add(self, request: _Request) -> None:
        with self._changed:
            self._queue.append(request)
            self._changed.notify()

    def close(self) -> None:
        """Lets the thread end, once all that waits is answered."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def work(self) -> None:
        """The thread."""
        while batch := self._next():
            total = sum(n for _, n in batch)
            began = time.perf_counter()
            try:
                keypoints = self._predictor.infer(
                    self._crops[:total], flip_test=self._flips[:total]
                )
            except Exception as error:  # the runtime's own kinds share no base class
                self._drop(batch, error)
                continue
            if self._ran is not None:
                self._ran(total, time.perf_counter() - began)
            first = 0
            for request, n in batch:
                request.give(keypoints[first : first + n])
                first += n

    def _next(self) -> list[tuple[_Request, int]]:
        """Whose crops lie in the next batch, and how many of each; empty when it is closed."""
        with self._changed:
            while True:
                while not self._queue and not self._closing:
                    self._changed.wait()
                if not self._queue:
                    return []
                self._gather()
                if batch := self._fill():
                    return batch

    def _gather(self) -> None:
        """Waits for more, until the batch is full or its first crop has waited long enough."""
        until = self._queue[0].since + self._delay_s
        while sum(request.left for request in self._queue) < self._most and not self._closing:
            left = until - time.perf_counter()
            if left <= 0:
                return
            self._changed.wait(left)

    def _fill(self) -> list[tuple[_Request, int]]:
        batch: list[tuple[_Request, int]] = []
        total = 0
        while self._queue and total < self._most:
            request = self._queue[0]
            if request.begins():
                crops = request.take(self._most - total)
                rows = slice(total, total + len(crops))
                self._crops[rows], self._flips[rows] = crops, request.flip_test
                total = rows.stop
                batch.append((request, len(crops)))
            if not request.left or request.answer.cancelled():
                self._queue.popleft()
        return batch

    def _drop(self, batch: list[tuple[_Request, int]], error: Exception) -> None:
        with self._changed:
            if self._queue and self._queue[0] is batch[-1][0]:  # the rest of it is not worth taking
                self._queue.popleft()
        for request, _ in batch:
            request.answer.set_exception(error)
