"""MATLAB 5 files: what SciPy writes is read as SciPy reads it, and damage is a ValueError."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from model.data.readers.mat import read_arrays

DATA = Path(__file__).parents[4] / "shared" / "data"
KINDS = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


def written(content: dict[str, object], *, compressed: bool = False) -> bytes:
    file = io.BytesIO()
    savemat(file, content, do_compression=compressed)
    return file.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 14, 5), (1, 1), (2, 1), (16, 2)])
def test_numbers_are_read_as_they_were_written(shape: tuple[int, ...], kind: str, compressed: bool):
    """Of every type and size, small elements too; MATLAB counts columns first."""
    array = np.arange(np.prod(shape)).reshape(shape).astype(kind)

    content = read_arrays(written({"joints": array, "other": array + 1}, compressed=compressed))

    assert list(content) == ["joints", "other"]
    np.testing.assert_array_equal(content["joints"], array)
    np.testing.assert_array_equal(content["other"], array + 1)


def test_what_is_no_number_is_told_apart():
    """Text, cells, structures and complex numbers: their names are known, no more."""
    cells = np.empty(2, object)
    cells[:] = ["a", 3]

    content = read_arrays(
        written({"t": "text", "c": cells, "s": {"a": 1}, "z": np.array([1j]), "n": 1.5})
    )

    assert {name for name, value in content.items() if value is None} == {"t", "c", "s", "z"}
    assert content["n"] == 1.5


@pytest.mark.parametrize("order", ["<", ">"])
def test_either_end_may_come_first(order: str):
    """The header says which; written here by hand, element by element."""
    parts = [
        struct.pack(order + "IIII", 6, 8, 6, 0),  # class double
        struct.pack(order + "IIii", 5, 8, 1, 2),  # 1 × 2
        struct.pack(order + "II8s", 1, 6, b"joints"),
        struct.pack(order + "IIdd", 9, 16, 1.5, 2.5),
    ]
    body = b"".join(parts)
    head = b"MATLAB 5.0".ljust(124) + struct.pack(order + "HH", 0x0100, 0x4D49)
    file = head + struct.pack(order + "II", 14, len(body)) + body

    np.testing.assert_array_equal(read_arrays(file)["joints"], [[1.5, 2.5]])
    np.testing.assert_array_equal(loadmat(io.BytesIO(file))["joints"], [[1.5, 2.5]])


@settings(max_examples=1000)
@given(
    at=st.floats(0, 0.9999),
    byte=st.integers(0, 255),
    keep=st.floats(0, 1),
    compressed=st.booleans(),
)
def test_damaged_bytes_are_arrays_or_an_error(at: float, byte: int, keep: float, compressed: bool):
    """One byte replaced and the rest cut off; SciPy dies of some of these, process and all."""
    data = bytearray(written({"joints": np.zeros((3, 14, 2)), "x": "text"}, compressed=compressed))
    data[int(at * len(data))] = byte
    data = data[: max(int(len(data) * min(1.0, 0.5 + keep)), 1)]

    try:
        content = read_arrays(bytes(data))
    except (ValueError, zlib.error):
        return
    assert all(value is None or value.ndim >= 1 for value in content.values())


@pytest.mark.parametrize(("at", "byte"), [(180, 233), (181, 1), (192, 0), (193, 1)])
def test_the_bytes_that_scipy_dies_of_are_refused(at: int, byte: int):
    """Type numbers and lengths of the name and of the numbers."""
    data = bytearray(written({"joints": np.zeros((14, 3, 2))}))
    data[at] = byte

    with pytest.raises(ValueError, match=r"element|name|unknown type"):
        read_arrays(bytes(data))


def test_an_array_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch):
    """A megabyte of zeros packs into a thousand bytes; a terabyte into few more."""
    monkeypatch.setattr("model.data.readers.mat._LARGEST_BYTES", 1000)

    with pytest.raises(ValueError, match="larger than 1,000 bytes"):
        read_arrays(written({"joints": np.zeros((1000, 10))}, compressed=True))


@pytest.mark.parametrize("data", [b"", b"\0" * 127, b"\x89HDF" + b"\0" * 200, b"MATLAB 5.0" * 40])
def test_what_does_not_begin_as_one_is_refused(data: bytes):
    """Any other file under the name."""
    with pytest.raises(ValueError, match="does not begin as a MATLAB 5 file"):
        read_arrays(data)


def test_a_file_of_matlab_7_3_says_what_to_do():
    """It is HDF5 inside."""
    data = bytearray(written({"joints": 1.0}))
    data[124:126] = b"\0\x02"

    with pytest.raises(ValueError, match=r"MATLAB 7\.3; save it with -v7 or older"):
        read_arrays(bytes(data))


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="no photographs at ../shared/data")
@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("lsp/joints.mat", ["joints"]),
        ("lspet/joints.mat", ["joints"]),
        ("mpii/annot/gt_valid.mat", ["jnt_missing", "pos_gt_src", "headboxes_src"]),
    ],
)
def test_the_published_files_are_read_as_scipy_reads_them(file: str, names: list[str]):
    """To the bit."""
    ours, theirs = read_arrays((DATA / file).read_bytes()), loadmat(DATA / file)

    for name in names:
        np.testing.assert_array_equal(ours[name], theirs[name])
