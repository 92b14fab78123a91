"""A job kind that does what its config says, run as a real child process by this script.

Steps of config["do"]: ["event", {…}], ["file", name, text], ["sleep", seconds], ["print", text],
["raise", class name], ["die", signal number], ["exit", status], ["wait"] (until asked to stop),
["await", name] (until such a file is in the run folder), ["full"] (no file may grow), ["grow"]
(beyond what it may have), ["show"] (on what it computes, by the log), ["deaf"] (to TERM), ["spawn"]
(a process that ignores TERM and whose id is in the file spawned). A job with parts tells what
became of them instead.
"""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.errors import DatasetError, TrainingDiverged
from model.training.events import EventLog
from worker.child import main
from worker.jobs import JobKind, Work
from worker.store import Job
from worker.stores import Stores

COMMAND = (sys.executable, str(Path(__file__)))
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


class Pretend(JobKind):
    def resolve(self, config: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        return dict(config)

    def prepare(self, resolved: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        if resolved.get("unprepared"):
            raise DatasetError(stores.settings.data_dir / "lsp", None, "is gone")
        return dict(resolved)

    def gathered(self, parts: Sequence[Job], stores: Stores) -> dict[str, Any]:
        if not parts:
            return {}
        states = {str(part.part): str(part.state) for part in parts}
        return {"do": [["event", {"kind": "finished", "metrics": states}]]}

    def run(self, work: Work) -> bool:
        events = EventLog(work.run_dir / "events.jsonl")
        steps = work.spec["resumed" if work.resume and "resumed" in work.spec else "do"]
        return all(self._step(work, events, *step) for step in steps)

    def _step(self, work: Work, events: EventLog, what: str, *values: Any) -> bool:
        match what:
            case "event":
                events.write(**values[0])
            case "file":
                path = work.run_dir / values[0]
                path.parent.mkdir(exist_ok=True)
                path.write_text(values[1])
            case "sleep":
                time.sleep(values[0])
            case "print":
                os.write(1, values[0].encode())
            case "raise":
                raise ERRORS[values[0]](work.run_dir)
            case "die":
                os.kill(os.getpid(), values[0])
            case "exit":
                os._exit(values[0])
            case "wait":
                while not work.stop():
                    time.sleep(0.02)
                return False
            case "await":
                while not (work.run_dir / values[0]).exists():
                    time.sleep(0.02)
            case "full":
                resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))
            case "grow":
                resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
                bytearray(8 << 30)
            case "show":
                visible = os.environ["CUDA_VISIBLE_DEVICES"]
                threads = os.environ.get("OMP_NUM_THREADS")
                os.write(1, f"on {work.device} {visible!r}, {threads} threads\n".encode())
            case "deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            case "spawn":
                spawned = subprocess.Popen([sys.executable, "-c", DEAF])
                (work.run_dir / "spawned").write_text(str(spawned.pid))
        return True


ERRORS: Mapping[str, Any] = {
    "diverged": lambda run: TrainingDiverged("the loss is no longer a finite number at step 7"),
    "data": lambda run: DatasetError(run / "joints.mat", 3, "has no joints"),
    "memory": lambda run: MemoryError(),
    "cuda": lambda run: type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"),
    "disk": lambda run: OSError(28, "No space left on device"),
    "module": lambda run: ModuleNotFoundError("No module named 'torch'", name="torch"),
    "bug": lambda run: KeyError(str(run)),
}
KINDS = {"pretend": Pretend()}


def lives(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main(kinds=KINDS))
