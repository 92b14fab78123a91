"""Jobs that somebody follows: one poller a job, shared by all who listen to it.

A listener reads from its own position: what is new from the poller's memory, what is older from
the store. So a slow one holds up nobody and makes nothing grow.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError
from sse_starlette import ServerSentEvent

from service.times import shown
from worker.store import FINAL, Database
from worker.store.events import JobEvent, Standing, events_after, standing

log = logging.getLogger(__name__)

POLL_S: Final = 0.5
_PAGE: Final = 32
"""Events that are read or kept at once."""

Frame = tuple[int, bytes]
"""An event's number, and how it is sent."""


class Hub:
    """All jobs that are followed on this server. To be used in its event loop alone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watched: dict[str, _Watch] = {}
        self._closed = False

    async def listen(self, job_id: str, after: int, found: Standing) -> AsyncIterator[bytes]:
        """The events after number `after` as they come, until the job has ended or is deleted.

        found: where the job stands now.
        """
        watch = self._watched.get(job_id)
        if watch is None:
            watch = self._watched[job_id] = _Watch(self._database, job_id, found)
        watch.met(found)
        watch.listeners += 1
        try:
            async for piece in self._told(watch, after):
                yield piece
        finally:
            watch.listeners -= 1
            if not watch.listeners:
                watch.stop()
                del self._watched[job_id]

    def close(self) -> None:
        """End all listeners, who may ask another server for the rest: this one ends."""
        self._closed = True
        for watch in self._watched.values():
            watch.wake()

    async def _told(self, watch: "_Watch", after: int) -> AsyncIterator[bytes]:
        progress: Mapping[str, Any] | None = None
        while not self._closed:
            changed, now = watch.changed, watch.standing
            if now is None:
                yield _sent("end", {"state": None, "reason": "the job was deleted"})
                return
            if after < now.seq:
                frames = await watch.after(after)
                if not frames:  # the store does not answer, or the job is being deleted
                    await asyncio.sleep(POLL_S)
                    continue
                yield b"".join(frame for _, frame in frames)
                after = frames[-1][0]
                continue
            if now.progress is not None and now.progress != progress:
                progress = now.progress
                yield _sent("progress", progress)
            if now.state in FINAL:
                yield _sent("end", {"state": now.state})
                return
            await changed.wait()


class _Watch:
    """One job, looked at twice a second while anybody listens."""

    def __init__(self, database: Database, job_id: str, found: Standing) -> None:
        self._database, self._job_id = database, job_id
        self.standing: Standing | None = found
        self.changed = asyncio.Event()
        """Set and replaced at every change."""
        self.listeners = 0
        self._recent: deque[Frame] = deque(maxlen=_PAGE)
        self._read = found.seq
        self._poller = asyncio.create_task(self._poll())

    def met(self, found: Standing) -> None:
        """A listener that comes has looked as well, perhaps later than the poller."""
        if self.standing is not None and found.seq > self.standing.seq:
            self.standing = found

    def wake(self) -> None:
        """Let the listeners look."""
        self.changed.set()
        self.changed = asyncio.Event()

    def stop(self) -> None:
        self._poller.cancel()

    async def after(self, seq: int) -> Sequence[Frame]:
        """The next events; none if the store does not answer."""
        if self._recent and self._recent[0][0] <= seq + 1 <= self._recent[-1][0]:
            return [frame for frame in self._recent if frame[0] > seq]
        try:
            return await asyncio.to_thread(_frames, self._database, self._job_id, seq)
        except SQLAlchemyError as error:
            log.warning("events of job %s cannot be read: %s", self._job_id, error)
            return ()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                now, frames = await asyncio.to_thread(
                    _look, self._database, self._job_id, self._read
                )
            except Exception:  # a database that is away for a moment must not end the watch
                log.exception("job %s cannot be followed now", self._job_id)
                continue
            if frames:
                if frames[0][0] > self._read + 1:
                    self._recent.clear()  # they must have no gap
                self._recent.extend(frames)
                self._read = frames[-1][0]
            if frames or now != self.standing:
                self.standing = now
                self.wake()


def _look(database: Database, job_id: str, read: int) -> tuple[Standing | None, list[Frame]]:
    """Where the job stands, and the last of the events after `read`."""
    now = standing(database, job_id)
    if now is None or now.seq <= read:
        return now, []
    return now, _frames(database, job_id, max(read, now.seq - _PAGE))


def _frames(database: Database, job_id: str, after: int) -> list[Frame]:
    return [(event.seq, _frame(event)) for event in events_after(database, job_id, after, _PAGE)]


def _frame(event: JobEvent) -> bytes:
    line = {} if event.line is None else {"line": event.line}
    data = {"at": shown(event.at).isoformat(), **line, **event.data}
    return _sent(event.kind, data, event.seq)


def _sent(kind: str, data: Mapping[str, Any], seq: int | None = None) -> bytes:
    """As it goes over the wire: ASCII, since what a child wrote may be no Unicode."""
    number = None if seq is None else str(seq)
    return ServerSentEvent(json.dumps(data), event=kind, id=number, sep="\n").encode()
