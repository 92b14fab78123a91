"""Which devices a worker has, as the driver's program tells it."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from worker.devices import DeviceMissing, GpuMemory, found_devices, gpus
from worker.settings import WorkerSettings
from worker.store import Need

ON_GPU, ON_CPU = (Need.GPU, Need.ANY), (Need.CPU,)


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder: its nvidia-smi prints the file `gpus`, and leaves what it was asked in `asked`."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n. {tmp_path}/gpus\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    answers(tmp_path, "echo 0, 81559, 81000; echo 1, 81559, 4")
    return tmp_path


def answers(driver: Path, commands: str) -> None:
    (driver / "gpus").write_text(commands)


def test_by_default_a_worker_has_every_gpu_and_the_cpu(driver: Path) -> None:
    """The CPU then leaves to the GPUs what runs on either."""
    found = found_devices()

    assert [(d.name, d.kind, d.needs) for d in found] == [
        ("cuda:0", "cuda", ON_GPU),
        ("cuda:1", "cuda", ON_GPU),
        ("cpu", "cpu", ON_CPU),
    ]
    assert [d.environment["CUDA_VISIBLE_DEVICES"] for d in found] == ["0", "1", ""]
    assert {d.environment["OMP_NUM_THREADS"] for d in found} == {str(found[0].threads)}


def test_a_worker_without_gpus_has_the_cpu_and_all_of_its_cores(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether there is no driver, or none of its GPUs is for us."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    hidden = found_devices()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    (driver / "nvidia-smi").unlink()

    assert found_devices() == hidden
    assert [(d.name, d.needs) for d in hidden] == [("cpu", (Need.CPU, Need.ANY))]
    assert "OMP_NUM_THREADS" not in hidden[0].environment


def test_a_list_names_the_devices(driver: Path) -> None:
    """Two workers of one machine share its GPUs so."""
    assert [d.name for d in found_devices(["cuda:1"])] == ["cuda:1"]
    assert [d.needs for d in found_devices(["cpu"])] == [(Need.CPU, Need.ANY)]
    with pytest.raises(DeviceMissing, match="names cuda:2; here are cuda:0, cuda:1, cpu"):
        found_devices(["cuda:0", "cuda:2"])


def test_only_gpus_that_the_worker_may_see_are_its_own(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever started it has given the others to somebody else."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,GPU-5e0a")

    gpus()

    assert "--id=1,GPU-5e0a" in (driver / "asked").read_text()


@pytest.mark.parametrize("commands", ["exit 9", "echo no devices were found", "echo 0, 1"])
def test_a_driver_that_does_not_answer_has_no_gpus(driver: Path, commands: str) -> None:
    """No job is given to what nobody can tell about."""
    answers(driver, commands)

    assert gpus() == {}


def test_memory_is_free_by_its_share(driver: Path) -> None:
    """Where the driver cannot tell, the GPU has none of its own to be full."""
    answers(driver, "echo 0, 1000, 900; echo 1, 1000, 899; echo 2, [N/A], [N/A]")

    assert [memory.has_free(0.9) for memory in gpus().values()] == [True, False, True]
    assert str(GpuMemory(81559, 12288)) == "12.0 of 79.6 GiB are free"


@pytest.mark.parametrize("devices", ["", "gpu", "cuda", "cuda:x", "cpu,cpu", "auto,cpu", "tpu"])
def test_devices_that_make_no_sense_are_refused(devices: str) -> None:
    """Before anything is opened."""
    with pytest.raises(ValidationError):
        WorkerSettings(devices=devices)


def test_a_worker_loads_no_torch() -> None:
    """It lives beside its jobs for months: CUDA, once used, would hold memory of every GPU."""
    look = "import sys, worker.main; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", look]).returncode == 0
