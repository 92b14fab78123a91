"""A container with a CPU quota must not start a thread for each core of its host."""

from pathlib import Path

import pytest

from model.cores import cpu_quota


def _file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_quota_of_version_2_at_the_mount_holds_for_whoever_is_below(tmp_path: Path) -> None:
    """As in a container: the host's path of the group is not there, its files lie at the mount."""
    _file(tmp_path / "own", "0::/docker/0123\n")
    _file(tmp_path / "cgroup/cpu.max", "150000 100000\n")
    assert cpu_quota(tmp_path / "cgroup", tmp_path / "own") == 1.5


def test_the_tightest_quota_on_the_way_up_holds(tmp_path: Path) -> None:
    _file(tmp_path / "own", "0::/pod/box\n")
    _file(tmp_path / "cgroup/cpu.max", "max 100000\n")
    _file(tmp_path / "cgroup/pod/cpu.max", "200000 100000\n")
    _file(tmp_path / "cgroup/pod/box/cpu.max", "400000 100000\n")
    assert cpu_quota(tmp_path / "cgroup", tmp_path / "own") == 2


def test_version_1_is_read_too(tmp_path: Path) -> None:
    _file(tmp_path / "own", "9:memory:/other\n3:cpu,cpuacct:/docker/0123\n")
    _file(tmp_path / "cgroup/cpu,cpuacct/docker/0123/cpu.cfs_quota_us", "50000\n")
    _file(tmp_path / "cgroup/cpu,cpuacct/docker/0123/cpu.cfs_period_us", "100000\n")
    assert cpu_quota(tmp_path / "cgroup", tmp_path / "own") == 0.5


@pytest.mark.parametrize("text", ["max 100000\n", "", "-1 100000\n", "x y\n", "0 100000\n"])
def test_no_limit_or_one_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    _file(tmp_path / "own", "0::/\n")
    _file(tmp_path / "cgroup/cpu.max", text)
    assert cpu_quota(tmp_path / "cgroup", tmp_path / "own") is None


def test_where_there_are_no_control_groups_nothing_is_limited(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "cgroup", tmp_path / "own") is None
