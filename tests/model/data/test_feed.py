"""Batches come in the order of their rows, on the device, and nothing stays behind."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model.data.feed import AHEAD, Feed
from model.data.packing import Pack

CPU = torch.device("cpu")
P, K = 20, 16


def people(folder: Path | None = None) -> Pack:
    """Persons of noise, in memory or in a mapped file."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (P, 9, 6, 3), np.uint8)
    if folder is not None:
        np.save(folder / "people.npy", pixels)
        pixels = np.load(folder / "people.npy", mmap_mode="r")
    return Pack(pixels, rng.normal(size=(P, K, 3)).astype(np.float32))


def orders(*lengths: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randperm(P, generator=generator)[:length] for length in lengths]


def feeding() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("feed")]


@pytest.mark.parametrize("mapped", [False, True], ids=["memory", "disk"])
def test_every_batch_holds_its_rows_in_order(tmp_path: Path, mapped: bool):
    """Of any length: an epoch's rows need not be a multiple of the batch."""
    pack = people(tmp_path if mapped else None)
    rows = orders(4, 4, 1, 0, 4, 3)

    found = list(Feed(pack, CPU).batches(rows))

    assert len(found) == len(rows)
    for (pixels, joints), chosen in zip(found, rows, strict=True):
        assert (pixels.dtype, joints.dtype) == (torch.uint8, torch.float32)
        np.testing.assert_array_equal(pixels, pack.pixels[chosen.numpy()])
        np.testing.assert_array_equal(joints, pack.joints[chosen.numpy()])


def test_a_batch_is_the_callers_own():
    """What augmentation does in place must not change the next epoch's people."""
    feed = Feed(people(), CPU)
    (pixels, joints), *_ = feed.batches(orders(3, 3))
    pixels.zero_()
    joints.zero_()

    (again, joints_again), *_ = feed.batches(orders(3, 3))

    assert again.any()
    assert joints_again.any()


def test_it_reads_no_further_ahead_than_it_says():
    """Rows of an epoch are drawn one by one: whoever stops early has drawn few in vain."""
    drawn = 0

    def rows() -> Iterator[Tensor]:
        nonlocal drawn
        for chosen in orders(*[2] * 10):
            drawn += 1
            yield chosen

    batches = Feed(people(), CPU).batches(rows())
    next(batches)
    assert drawn == 1 + AHEAD
    batches.close()


def test_a_loop_that_is_left_leaves_no_thread():
    """A stopped training returns while batches are still on their way."""
    for _ in Feed(people(), CPU).batches(orders(*[2] * 10)):
        assert feeding()
        break

    assert not feeding()


def test_an_error_appears_where_its_batch_is_due():
    """Batches before it are good; it is not lost in the thread."""
    batches = Feed(people(), CPU).batches([*orders(2), torch.tensor([0, P])])

    next(batches)
    with pytest.raises(IndexError, match=f"rows 0…{P} of {P} people"):
        next(batches)
    assert not feeding()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_gets_the_same_rows():
    """Pinned memory is given out again and again: a copy that is not waited for would show."""
    device = torch.device("cuda")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (256, 96, 96, 3), np.uint8)
    pack = Pack(pixels, rng.normal(size=(256, K, 3)).astype(np.float32))
    rows = [torch.from_numpy(rng.permutation(256)[:64]) for _ in range(50)]

    for (found, joints), chosen in zip(Feed(pack, device).batches(rows), rows, strict=True):
        assert found.device.type == joints.device.type == "cuda"
        busy = torch.randn(512, 512, device=device)
        for _ in range(20):
            busy = busy @ busy.T / 512
        np.testing.assert_array_equal(found.cpu(), pixels[chosen.numpy()])
        np.testing.assert_array_equal(joints.cpu(), pack.joints[chosen.numpy()])
