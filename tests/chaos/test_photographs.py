"""A training on real photographs, killed three ways."""

from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from case import CONFIG, Case
from installation import HASTY
from moments import at
from processes import kill_child, kill_worker
from twin import undisturbed

from worker.store import State

DATA: Final = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.data
@pytest.mark.timeout(400)
def test_a_training_on_photographs_that_is_killed_three_ways_ends_as_its_twin(
    case: Case, tmp_path: Path
) -> None:
    """Its child, its worker, and all at once, as by a power cut."""
    if not (DATA / "lsp").is_dir():
        pytest.skip("../shared/data is not on this machine")
    installation = case.install(patience={**HASTY, "OKDHP_DATA_DIR": str(DATA)})
    lsp = {"name": "lsp", "format": "lsp", "path": "lsp"}
    httpx.post(f"{installation.url}/datasets", json=lsp, timeout=60).raise_for_status()
    config = _config(dataset="lsp")
    worker = installation.start_worker("first")
    job_id = installation.post(config)

    with at("mid-epoch", installation, job_id, worker.pid):
        installation.inject("child killed", lambda: kill_child(job_id))
    installation.wait_for(job_id, State.FAILED)
    installation.resume(job_id)
    with at("checkpoint", installation, job_id, worker.pid):
        installation.inject("worker killed", lambda: kill_worker(worker, job_id), of=worker)
    second = installation.start_worker("second")

    def cut_the_power() -> None:
        installation.kill_broker()
        installation.kill(installation.api)
        kill_worker(second, job_id)

    with at("evaluating", installation, job_id, second.pid):
        installation.inject("all killed", cut_the_power)
    installation.broker.start()
    installation.start_api()
    installation.start_worker("third")

    installation.wait_for(job_id, State.SUCCEEDED)
    twin = undisturbed(_config(format="lsp", path=str(DATA / "lsp")), tmp_path / "twin")
    fault = "LSP: child, worker, all at once killed"
    expected = {job_id: State.SUCCEEDED}
    case.conclude(fault, "mid-epoch, checkpoint, evaluating", expected, twin=twin)


def _config(**source: Any) -> dict[str, Any]:
    data = {
        "crop_px": [64, 64],
        "train": [{**source, "split": "train", "people": 300}],
        "valid": [{**source, "split": "valid", "people": 100}],
    }
    training = {**CONFIG["training"], "epochs": 6, "batch_size": 16}
    return {**CONFIG, "data": data, "training": training}
