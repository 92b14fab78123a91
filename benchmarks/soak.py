"""Whether a server's memory stays where it is under good and hostile requests.

    PYTHONPATH=. python benchmarks/soak.py [--requests 50000] [--settled 5000]

Every second request is a good one, the others are those of tests/service/hostile in turn; four
connections are open at once. The resident memory at the end is compared with that after the first
`--settled`, when every code path has been walked and every pool is filled.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

from photograph import photograph
from serving import free_port, rss_mb, say, server

from tests.service.hostile.corpus import corpus
from tests.service.hostile.request import Hostile, send

CLIENTS = 4
STEP = 1_000
"""After so many requests the memory is read."""
ENVIRONMENT = {"OKDHP_BODY_TIMEOUT_S": "0.3"}
"""Bodies that never end should not make up the time of the run."""
MOST_GROWTH = 0.05


def mixed() -> Iterator[Hostile]:
    """Good and hostile requests by turns, without an end."""
    good = Hostile("good", photograph())
    for hostile in cycle(list(corpus())):
        yield good
        yield hostile


def ask(url: str, requests: Sequence[Hostile], pool: ThreadPoolExecutor) -> Counter[str]:
    """How the requests were answered: good ones apart from the hostile ones."""
    replies = pool.map(lambda request: send(url, request).status, requests)
    pairs = zip(requests, replies, strict=True)
    return Counter(
        f"{'good' if asked.name == 'good' else 'hostile'} {status}" for asked, status in pairs
    )


def soak(url: str, pid: int, count: int, settled: int) -> bool:
    """Whether memory stayed, no good request failed and nothing was answered 500."""
    began, statuses, memory = time.monotonic(), Counter[str](), {}
    stream = mixed()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for sent in range(STEP, count + 1, STEP):
            statuses += ask(url, list(islice(stream, STEP)), pool)
            memory[sent] = rss_mb(pid)
            say(f"{sent:,} requests, {time.monotonic() - began:.0f} s: {memory[sent]:.1f} MB")
    first, last = memory[settled], memory[max(memory)]
    say(", ".join(f"{kind}: {n:,}" for kind, n in sorted(statuses.items())))
    say(f"resident: {first:.1f} MB after {settled:,}, {last:.1f} MB at the end: {last / first:.3f}")
    good = {kind for kind in statuses if kind.startswith("good")} == {"good 200"}
    return good and "hostile 500" not in statuses and last <= (1 + MOST_GROWTH) * first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000, help=f"a multiple of {STEP}")
    parser.add_argument("--settled", type=int, default=5_000, help=f"a multiple of {STEP}")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [
            sys.executable,
            "-m",
            "service.cli",
            "serve",
            "--home",
            str(Path(folder, "home")),
        ]
        command += ["--port", str(port), "--no-worker"]
        with server(command, url, ENVIRONMENT) as pid:
            say(f"{os.cpu_count()} cores, {CLIENTS} connections")
            if not soak(url, pid, asked.requests, asked.settled):
                raise SystemExit("memory grew, or an answer was wrong")


if __name__ == "__main__":
    main()
