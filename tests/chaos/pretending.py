"""A worker whose jobs are pretended (tests/worker/pretend.py), where hundreds are needed."""

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "worker"))
import pretend

from worker.main import run_worker
from worker.settings import WorkerSettings

logging.basicConfig(level=logging.INFO)
sys.exit(run_worker(WorkerSettings(), kinds=pretend.KINDS, child=pretend.COMMAND))
