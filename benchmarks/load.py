"""A client that costs little: requests made up once, answers read and hardly looked at.

It shares the cores with the server that it measures, so it must not cost what the server costs.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Tally:
    """statuses: how many answers of each (0: no answer). ms: of each answer that was a 200.
    wrong: how many 200s `check` did not accept.
    """

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    ms: list[float] = field(default_factory=list)
    wrong: int = 0

    @property
    def per_s(self) -> float:
        return self.statuses[200] / self.seconds


def request(url: str, path: str, body: bytes = b"", kind: str = "image/jpeg") -> bytes:
    """A whole POST (or GET, without a body) on a connection that stays open."""
    host = urlsplit(url).netloc
    verb = "POST" if body else "GET"
    head = f"{verb} {path} HTTP/1.1\r\nHost: {host}\r\n"
    if body:
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class Connection:
    """One keep-alive connection; opened anew when the server has closed it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname, parts.port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, message: bytes) -> tuple[int, bytes]:
        """Status and body; status 0 where the connection broke.

        One that broke while it was idle is no fault: a server closes those, and every client asks
        again.
        """
        idle = self._streams is not None
        status, body = await self._ask(message)
        return await self._ask(message) if idle and not status else (status, body)

    async def _ask(self, message: bytes) -> tuple[int, bytes]:
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(*self._address, limit=1 << 22)
            reader, writer = self._streams
            writer.write(message)
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            body = await reader.readexactly(length)
            if b"connection: close" in head:
                self.close()
            return int(head.split(b" ", 2)[1]), body
        except (OSError, asyncio.IncompleteReadError, ValueError):
            self.close()
            return 0, b""

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def saturate(
    url: str,
    message: bytes,
    connections: int,
    seconds: float,
    check: Callable[[bytes], bool] = lambda body: True,
    over: asyncio.Event | None = None,
) -> Tally:
    """So many connections, each with its next request as soon as it has an answer; ends after
    `seconds`, or when `over` is set.
    """
    tally = Tally()
    over = over or asyncio.Event()
    began = time.perf_counter()

    async def one() -> None:
        connection = Connection(url)
        while time.perf_counter() - began < seconds and not over.is_set():
            await _ask(connection, message, tally, check)
        connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    tally.seconds = time.perf_counter() - began
    return tally


async def flood(url: str, message: bytes, per_s: float, seconds: float) -> Tally:
    """Requests at a steady rate, whether the server keeps up or not."""
    tally = Tally()
    idle: list[Connection] = []
    running: set[asyncio.Task[None]] = set()
    began = time.perf_counter()

    async def one() -> None:
        connection = idle.pop() if idle else Connection(url)
        await _ask(connection, message, tally, lambda body: True)
        idle.append(connection)

    sent = 0
    while (now := time.perf_counter() - began) < seconds:
        while sent < now * per_s:
            task = asyncio.create_task(one())
            running.add(task)
            task.add_done_callback(running.discard)
            sent += 1
        await asyncio.sleep(0.002)
    await asyncio.gather(*running)
    tally.seconds = time.perf_counter() - began
    for connection in idle:
        connection.close()
    return tally


async def _ask(
    connection: Connection, message: bytes, tally: Tally, check: Callable[[bytes], bool]
) -> None:
    began = time.perf_counter()
    status, body = await connection.ask(message)
    tally.statuses[status] += 1
    if status == 200:
        tally.ms.append(1e3 * (time.perf_counter() - began))
        tally.wrong += not check(body)


def branch_of(body: bytes) -> str:
    """Who answered, with his version."""
    model = json.loads(body)["model"]
    return f"{model['name']}:{model['version']}"
