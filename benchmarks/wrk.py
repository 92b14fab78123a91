"""How `okdhp serve` does under wrk, a client of somebody else's that costs little.

    python benchmarks/wrk.py [--seconds 15] [--connections 1 4 16 64 128]

Each row is a fresh run of `wrk` (https://github.com/wg/wrk) against a fresh server on the same
cores: so many connections, each with its next request as soon as it has an answer; the photograph
of the other benchmarks, a JPEG of one megapixel with one person.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from photograph import photograph
from serving import free_port, rss_mb, say, server

from model.cores import cores

SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "image/jpeg"
local file = io.open(os.getenv("PHOTOGRAPH"), "rb")
wrk.body = file:read("*a")
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() counts = {} end
function response(status) counts[status] = (counts[status] or 0) + 1 end
function done(summary, latency)
  local all = {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("counts")) do
      all[status] = (all[status] or 0) + count
    end
  end
  for status, count in pairs(all) do print("status", status, count) end
  print("p50", latency:percentile(50) / 1000)
  print("p99", latency:percentile(99) / 1000)
  print("seconds", summary.duration / 1e6)
  local errors = summary.errors
  print("broken", errors.connect + errors.read + errors.write + errors.timeout)
end
"""


def table_row(url: str, connections: int, seconds: int, folder: Path, pid: int) -> str:
    """Markdown."""
    command = ["wrk", f"-c{connections}", "-t1", f"-d{seconds}s", "--timeout", "30s"]
    done = subprocess.run(
        [*command, "-s", str(folder / "post.lua"), f"{url}/predict"],
        env={**os.environ, "PHOTOGRAPH": str(folder / "photograph.jpg")},
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(re.findall(r"^(\w+)\t([\d.]+)$", done.stdout, re.M))
    statuses = dict(re.findall(r"^status\t(\d+)\t(\d+)$", done.stdout, re.M))
    answered = int(statuses.get("200", 0))
    others = ", ".join(f"{n} × {s}" for s, n in sorted(statuses.items()) if s != "200") or "none"
    return (
        f"| {connections} | {answered / float(found['seconds']):.0f} | {float(found['p50']):.1f} | "
        f"{float(found['p99']):.1f} | {others} | {found['broken']} | {rss_mb(pid):.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=15, help="of each row")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 4, 16, 64, 128])
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: apt-get install wrk")
    say(f"{cores()} cores, server and client on the same")
    say("| connections | answers/s | p50 ms | p99 ms | other answers | broken | memory MB |")
    say("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "post.lua").write_text(SCRIPT)
        (folder / "photograph.jpg").write_bytes(photograph())
        for connections in options.connections:
            url = f"http://127.0.0.1:{free_port()}"
            command = [sys.executable, "-m", "service.cli", "serve", "--no-worker"]
            command += ["--home", str(folder / str(connections)), "--port", url.rpartition(":")[2]]
            with server(command, url, {}) as pid:
                say(table_row(url, connections, options.seconds, folder, pid))


if __name__ == "__main__":
    main()
