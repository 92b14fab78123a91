"""Follows a job over many connections to its end: the listeners of `benchmarks/jobs.py`.

    python benchmarks/listeners.py URL JOB NUMBER

Says so once all are connected, and at the end what they heard. A process of its own: it must not
take the time of the client that measures.
"""

import asyncio
import sys
from urllib.parse import urlsplit


async def listen(url: str, job: str, connected: asyncio.Semaphore) -> int:
    """How many numbered events came."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET /jobs/{job}/events HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    connected.release()
    heard, rest = 0, b""
    while piece := await reader.read(1 << 16):
        rest += piece
        heard += rest.count(b"\nid: ")
        rest = rest[-4:]
        if b"0\r\n\r\n" in rest + piece[-8:]:
            break
    writer.close()
    return heard


async def main() -> None:
    url, job, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    connected = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(listen(url, job, connected)) for _ in range(number)]
    for _ in tasks:
        await connected.acquire()
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    heard = await asyncio.gather(*tasks)
    sys.stdout.write(f"{min(heard, default=0)} to {max(heard, default=0)} events each\n")


if __name__ == "__main__":
    asyncio.run(main())
