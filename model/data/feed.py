"""Batches of a pack on the training device, read ahead so that no step waits for them.

A thread gathers the rows of the steps to come, out of memory or of a mapped file, and on CUDA into
pinned memory that a stream of its own copies from while the device computes. Rows come out in the
order they went in, so what a step sees depends on nothing but them.
"""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.packing import Pack

AHEAD: Final = 2
"""Batches that are ready or on their way while one is computed on."""


@dataclass(frozen=True)
class _Batch:
    pixels: Tensor
    joints: Tensor
    there: torch.cuda.Event | None  # when it has arrived; None where nothing needs to travel


class Feed:
    """Reads a pack for a device. May be used for any number of epochs, one after another."""

    def __init__(self, people: Pack, device: torch.device) -> None:
        self.people, self.device = people, device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def batches(self, rows: Iterable[Tensor]) -> Generator[tuple[Tensor, Tensor], None, None]:
        """For each `rows`, int64 `[N]` on the CPU, the people in these rows, on the device.

        Yields pixels uint8 `[N, Hp, Wp, 3]` and joints float32 `[N, K, 3]`. `rows` is taken from
        `AHEAD` items before they are needed. Raises IndexError for a row that is not there; what
        goes wrong while reading is raised where its batch is due. Closing the iterator ends the
        thread.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="feed") as pool:
            ahead: deque[Future[_Batch]] = deque()
            try:
                for chosen in rows:
                    ahead.append(pool.submit(self._read, chosen.numpy()))
                    if len(ahead) > AHEAD:
                        yield self._received(ahead.popleft())
                while ahead:
                    yield self._received(ahead.popleft())
            finally:
                for future in ahead:
                    future.cancel()

    def _read(self, rows: NDArray[np.int64]) -> _Batch:
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self.people):
            raise IndexError(f"rows {rows.min()}…{rows.max()} of {len(self.people)} people")
        pixels = self._taken(self.people.pixels, rows)
        joints = self._taken(self.people.joints, rows)
        if self._stream is None:
            return _Batch(pixels, joints, None)
        # The allocator of pinned memory itself waits for the copy before it gives it out again.
        with torch.cuda.stream(self._stream):
            return _Batch(
                pixels.to(self.device, non_blocking=True),
                joints.to(self.device, non_blocking=True),
                self._stream.record_event(),
            )

    def _taken(self, values: NDArray[Any], rows: NDArray[np.int64]) -> Tensor:
        """The rows of `[P, …]` in memory that the device can be copied to from."""
        like = torch.from_numpy(np.empty(0, values.dtype))
        found = torch.empty(
            (len(rows), *values.shape[1:]), dtype=like.dtype, pin_memory=self._stream is not None
        )
        # `clip` writes straight into `out`, `raise` by way of a copy; rows were looked at before.
        np.take(values, rows, axis=0, out=found.numpy(), mode="clip")
        return found

    def _received(self, coming: "Future[_Batch]") -> tuple[Tensor, Tensor]:
        batch = coming.result()
        if batch.there is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(batch.there)
            for tensor in (batch.pixels, batch.joints):
                # Made on the other stream, which else would reuse their memory too early.
                tensor.record_stream(current)
        return batch.pixels, batch.joints
