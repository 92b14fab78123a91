"""What the way round a model costs: `okdhp serve` beside bare ONNX Runtime and a plain handler.

    python benchmarks/serving.py [--rounds 3] [--seconds 5] [--overload 60] [--swaps 200]

All arms get the same photograph, a JPEG of one megapixel, and the bundled student. The client runs
beside the server on the same cores. sequential: one request after another. saturated: many at
once; `bare` is a thread a core that decodes, crops and infers in a loop without HTTP, `plain` a
FastAPI handler that does so inline. Arms take turns, and ratios are medians over rounds.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from load import Connection, Tally, branch_of, flood, request, saturate
from photograph import photograph

from model.cores import cores
from model.images import open_image
from model.predictor import BUNDLED, Predictor
from service.predict.prepare import prepare

CONNECTIONS = 16
MAX_PIXELS = 50_000_000


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def server(command: list[str], url: str, environment: dict[str, str]) -> Iterator[int]:
    """A server's process id, once it answers; ended with all its children afterwards."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 60
        while asyncio.run(Connection(url).ask(request(url, "/readyz")))[0] != 200:
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{command} does not answer")
            time.sleep(0.1)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def plain_app():  # type: ignore[no-untyped-def]
    """What a tutorial would write: everything inline in the handler."""
    from fastapi import FastAPI, Request

    app, predictor = FastAPI(), Predictor(BUNDLED)

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {}

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, object]:
        image = open_image(await request.body())
        from model.geometry import Box

        poses = predictor.predict(image, [Box.whole((image.height, image.width))])
        return {"poses": [pose.keypoints_img.tolist() for pose in poses]}

    return app


def bare_per_s(data: bytes, predictors: list[Predictor], seconds: float) -> float:
    """People a second of a thread a core, each with an inference of its own."""
    done = [0] * len(predictors)
    until = time.perf_counter() + seconds

    def loop(i: int) -> None:
        while time.perf_counter() < until:
            prepared = prepare(data, None, predictors[i], max_pixels=MAX_PIXELS, keep_image=False)
            predictors[i].infer(prepared.pixels)
            done[i] += 1

    threads = [threading.Thread(target=loop, args=(i,)) for i in range(len(predictors))]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - began)


def sequential(data: bytes, url: str, rounds: int = 300) -> None:
    """One client, one request after another, in turn with the same without HTTP."""
    predictor = Predictor(BUNDLED, threads=cores())
    message = request(url, "/predict", data)
    crop = prepare(data, None, predictor, max_pixels=MAX_PIXELS, keep_image=False).pixels

    async def run() -> tuple[float, float, float]:
        connection = Connection(url)
        taken = np.empty((rounds, 3))
        for i in range(rounds):
            began = time.perf_counter()
            status, _ = await connection.ask(message)
            assert status == 200
            answered = time.perf_counter()
            open_image(data)
            decoded = time.perf_counter()
            predictor.infer(crop)
            taken[i] = answered - began, decoded - answered, time.perf_counter() - decoded
        connection.close()
        whole, decode, infer = 1e3 * np.median(taken, axis=0)
        return float(whole), float(decode), float(infer)

    whole, decode, infer = asyncio.run(run())
    say(
        f"sequential: /predict {whole:.1f} ms; "
        f"decode {decode:.1f} + bare inference {infer:.1f} ms; "
        f"difference {whole - decode - infer:+.1f} ms"
    )


def saturated(data: bytes, url: str, plain: str, rounds: int, seconds: float) -> float:
    """Prints the ratios; requests a second of ours."""
    predictors = [Predictor(BUNDLED, threads=1) for _ in range(cores())]
    bare, ours, inline = [], [], []
    for _ in range(rounds):
        bare.append(bare_per_s(data, predictors, seconds))
        for at, found in ((url, ours), (plain, inline)):
            message = request(at, "/predict", data)
            found.append(asyncio.run(saturate(at, message, CONNECTIONS, seconds)).per_s)
    of_bare = statistics.median(o / b for o, b in zip(ours, bare, strict=True))
    of_plain = statistics.median(o / p for o, p in zip(ours, inline, strict=True))
    say(
        f"saturated, {CONNECTIONS} connections: bare {statistics.median(bare):.0f}/s, "
        f"ours {statistics.median(ours):.0f}/s, plain handler {statistics.median(inline):.0f}/s; "
        f"ours / bare {of_bare:.2f}, ours / plain {of_plain:.2f}"
    )
    return statistics.median(ours)


def rss_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def p99(tally: Tally) -> float:
    return float(np.percentile(tally.ms, 99)) if tally.ms else float("nan")


def probed(url: str, path: str, seconds: float) -> tuple[list[float], int]:
    """A probe's times in ms ten times a second, and how many were not 200."""

    async def run() -> tuple[list[float], int]:
        connection, message, taken, red = Connection(url), request(url, path), [], 0
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            began = time.perf_counter()
            status, _ = await connection.ask(message)
            taken.append(1e3 * (time.perf_counter() - began))
            red += status != 200
            await asyncio.sleep(0.1)
        return taken, red

    return asyncio.run(run())


def overloaded(data: bytes, url: str, pid: int, per_s: float, seconds: float) -> None:
    """Twice what it can do, for a while. Who probes has a process of his own, as an orchestrator
    has: this one is as busy as the server.
    """
    message = request(url, "/predict", data)

    async def run() -> tuple[Tally, Tally, list[float], int, int]:
        loop = asyncio.get_running_loop()
        calm = await saturate(url, message, CONNECTIONS * 4, 5)
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as probers:
            tally, (alive, _), (_, not_ready) = await asyncio.gather(
                flood(url, message, 2 * per_s, seconds),
                loop.run_in_executor(probers, probed, url, "/healthz", seconds),
                loop.run_in_executor(probers, probed, url, "/readyz", seconds),
            )
        return calm, tally, alive, not_ready, len(alive)

    before = rss_mb(pid)
    calm, tally, alive, not_ready, probes = asyncio.run(run())
    say(
        f"overload, 2 × {per_s:.0f}/s for {seconds:.0f} s: {dict(sorted(tally.statuses.items()))}; "
        f"p99 {p99(tally):.0f} ms, at saturation {p99(calm):.0f} ms; healthz p99 "
        f"{np.percentile(alive, 99):.0f} ms, at most {max(alive):.0f} ms of {probes}; not ready "
        f"{not_ready} times; memory {before:.0f} → {rss_mb(pid):.0f} MB"
    )


def swapped(data: bytes, url: str, pid: int, swaps: int) -> None:
    """Promote and roll back under load."""
    message = request(url, "/predict", data)
    first, second = (
        request(url, f"/models/okdhp/versions/{v}/promote", b"{}", "application/json")
        for v in (1, 2)
    )

    async def run() -> tuple[Tally, Tally, set[str], int]:
        calm = await saturate(url, message, 4, 5)
        seen: set[str] = set()

        def check(body: bytes) -> bool:
            seen.add(branch_of(body))
            return len(json.loads(body)["poses"][0]["keypoints"]) == 16

        async def swap() -> int:
            connection = Connection(url)
            statuses = [(await connection.ask(first if i % 2 else second))[0] for i in range(swaps)]
            over.set()
            return sum(status not in (200, 201) for status in statuses)

        over = asyncio.Event()
        tally, refused = await asyncio.gather(saturate(url, message, 4, 3600, check, over), swap())
        return calm, tally, seen, refused

    before = rss_mb(pid)
    calm, tally, seen, refused = asyncio.run(run())
    failed = sum(n for status, n in tally.statuses.items() if status != 200)
    say(
        f"{swaps} swaps in {tally.seconds:.0f} s under load: {tally.statuses[200]} answers by "
        f"{sorted(seen)}, {failed} failed, {tally.wrong} wrong, {refused} promotions refused; p99 "
        f"{p99(tally):.1f} ms, calm {p99(calm):.1f} ms; memory {before:.0f} → {rss_mb(pid):.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each arm in a round")
    parser.add_argument("--overload", type=float, default=60.0, help="seconds")
    parser.add_argument("--swaps", type=int, default=200)
    options = parser.parse_args()
    data = photograph()
    say(f"{platform.processor() or platform.machine()}, {cores()} cores, JPEG {len(data):,} bytes")
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as running:
        ports = free_port(), free_port()
        url, plain = (f"http://127.0.0.1:{port}" for port in ports)
        ours = [
            sys.executable,
            "-m",
            "service.cli",
            "serve",
            "--home",
            home,
            "--port",
            str(ports[0]),
        ]
        handler = [sys.executable, "-m", "uvicorn", "--factory", "serving:plain_app"]
        handler += ["--port", str(ports[1]), "--log-level", "error"]
        here = str(Path(__file__).parent)
        pid = running.enter_context(server(ours, url, {}))
        running.enter_context(server(handler, plain, {"PYTHONPATH": here}))
        sequential(data, url)
        rate = saturated(data, url, plain, options.rounds, options.seconds)
        overloaded(data, url, pid, rate, options.overload)
        second_version(Path(home))
        swapped(data, url, pid, options.swaps)


def second_version(home: Path) -> None:
    """The same student again, so that there is something to swap to."""
    from service.settings import ServiceSettings
    from worker.registry import read_card
    from worker.stores import open_stores

    stores = open_stores(ServiceSettings(home=home))
    card = read_card(BUNDLED)
    stores.registry.add_version("okdhp", BUNDLED, card, card["metrics"])
    stores.close()


if __name__ == "__main__":
    main()
