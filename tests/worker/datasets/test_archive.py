"""What of a stranger's ZIP is written to the disk, and what is refused."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from zipfile import ZIP_LZMA, ZIP_STORED, ZipFile, ZipInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.errors import DiskFull
from tests.worker.datasets.zips import (
    DEVICE,
    LINK,
    PIPE,
    lsp_files,
    patched,
    with_entry,
    zipped,
)
from worker.datasets import UploadBounds
from worker.datasets.archive import inner_path, unpack
from worker.errors import ArchiveRefused

FREE = UploadBounds(free_bytes=0)


def unpacked(tmp_path: Path, data: bytes, bounds: UploadBounds = FREE) -> Path:
    archive = tmp_path / "archive.zip"
    archive.write_bytes(data)
    unpack(archive, tmp_path / "set", bounds)
    return tmp_path / "set"


def content(tmp_path: Path, data: bytes) -> str:
    archive = tmp_path / "archive.zip"
    archive.write_bytes(data)
    into = tmp_path / f"{len(list(tmp_path.iterdir()))}"
    return unpack(archive, into, FREE).content


def test_files_come_out_as_they_went_in(tmp_path: Path) -> None:
    """Byte by byte; folders of their own need no entry."""
    files = lsp_files()

    folder = unpacked(tmp_path, zipped(files))

    assert {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    } == files


def test_the_content_does_not_depend_on_how_it_was_packed(tmp_path: Path) -> None:
    """Who zips the same folder twice has uploaded the same set."""
    files = lsp_files()
    other = {name: files[name] for name in sorted(files, reverse=True)}
    changed = {**files, "train.txt": b"im0001.jpg\n"}

    first = content(tmp_path, zipped(files))

    assert content(tmp_path, zipped(other)) == first
    assert content(tmp_path, zipped(changed)) != first
    assert content(tmp_path, zipped(files, below="a/")) != first


def test_what_finder_adds_is_left_out(tmp_path: Path) -> None:
    """Half of all archives come from there."""
    clutter = {"__MACOSX/images/._im0001.jpg": b"x", "images/.DS_Store": b"x"}

    folder = unpacked(tmp_path, zipped({**lsp_files(), **clutter}))

    assert not (folder / "__MACOSX").exists()
    assert not (folder / "images/.DS_Store").exists()


def lying(size: int) -> bytes:
    """An entry of a MiB whose headers tell of another size."""
    data = with_entry("big.bin", bytes(1 << 20))
    return patched(data, "big.bin", at=(22, 24), value=struct.pack("<I", size))


def nested() -> bytes:
    """Sixty entries that are one and the same MiB of the archive (Fifield's bomb, simply)."""
    data = with_entry("big.bin", bytes(1 << 24))
    at = data.rindex(b"big.bin") - 46
    entry = data[at : data.index(b"PK\5\6")]
    names = [entry.replace(b"big.bin", b"b%02d.bin" % i) for i in range(60)]
    listed = data[data.index(b"PK\1\2") : at] + b"".join(names)
    count = listed.count(b"PK\1\2")
    head = data[: data.index(b"PK\1\2")]
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(listed), len(head), 0)
    return head + listed + end


def listing(entries: int) -> bytes:
    """Nothing but a list of files, each in 47 bytes."""
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", *([0] * 9), 1, *([0] * 6)) + b"a"
    listed = entry * entries
    many = min(entries, 0xFFFF)
    return listed + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, many, many, len(listed), 0, 0)


GOOD = zipped(lsp_files())
CORPUS: dict[str, tuple[Callable[[], bytes], str]] = {
    "leads up": (lambda: with_entry("../evil.txt"), "leads out of the archive"),
    "leads up later": (lambda: with_entry("images/../../evil.txt"), "leads out of the archive"),
    "is absolute": (lambda: with_entry("/etc/cron.d/evil"), "absolute path"),
    "has a drive": (lambda: with_entry("C:/evil.txt"), "absolute path"),
    "has backslashes": (lambda: with_entry("..\\evil.txt"), "backslash"),
    "holds NUL": (lambda: with_entry("evil\0.txt"), "characters that cannot be shown"),
    "holds a line's end": (lambda: with_entry("a\nb"), "characters that cannot be shown"),
    "turns its text round": (lambda: with_entry("a\u202egpj.exe"), "cannot be shown"),
    "has no name": (lambda: with_entry("."), "no name"),
    "has a long name": (lambda: with_entry("a" * 300), "longer than"),
    "has a longer name": (lambda: with_entry("a/" * 400 + "a"), "longer than"),
    "is deep": (lambda: with_entry("a/" * 40 + "a"), "folders deep"),
    "is a link": (lambda: with_entry("images/link", b"/etc/passwd", mode=LINK), "is a link"),
    "is a device": (lambda: with_entry("null", b"", mode=DEVICE), "a device, a pipe or a socket"),
    "is a pipe": (lambda: with_entry("pipe", b"", mode=PIPE), "a device, a pipe or a socket"),
    "is encrypted": (
        lambda: patched(with_entry("secret"), "secret", at=(6, 8), value=b"\1\0"),
        "refused: it is encrypted",
    ),
    "is twice": (lambda: with_entry("train.txt"), "there twice"),
    "is twice by dots": (lambda: with_entry("./images/./im0001.jpg"), "there twice"),
    "differs in case": (lambda: with_entry("Train.TXT"), "only in case"),
    "has a folder that differs": (lambda: with_entry("IMAGES/a.jpg"), "only in case"),
    "differs in its accents": (
        lambda: zipped({"e\u0301": b"", "\u00e9": b""}),
        "only in case or in accents' form",
    ),
    "is a file and a folder": (lambda: with_entry("train.txt/a"), "a file, and the folder of"),
    "tells too small a size": (lambda: lying(1 << 10), "damaged"),
    "tells too large a size": (lambda: lying(1 << 30), "damaged"),
    "is one for many": (nested, "overlap"),
    "lists too many": (lambda: listing(400_000), "lists more than 100,000 files"),
    "lists too many in few bytes": (lambda: listing(150_000), "lists more than 100,000 files"),
    "is no ZIP": (lambda: b"PK\3\4 but not", "no ZIP"),
    "is empty": (lambda: b"", "no ZIP"),
    "is cut short": (lambda: GOOD[:-200], "no ZIP"),
    "has a broken middle": (
        lambda: GOOD[:300] + bytes(200) + GOOD[500:],
        "damaged",
    ),
    "points before its begin": (
        lambda: GOOD[:-6] + struct.pack("<I", 0xFFFFFF0) + GOOD[-2:],
        "damaged",
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_archive_is_refused_with_its_reason(tmp_path: Path, name: str) -> None:
    """And nothing of it lies beside the folder."""
    make, reason = CORPUS[name]

    with pytest.raises(ArchiveRefused, match=reason):
        unpacked(tmp_path, make())

    assert {path.name for path in tmp_path.iterdir()} == {"archive.zip", "set"}
    assert not (tmp_path / "set" / "images" / "link").is_symlink()


def test_a_method_that_packs_a_million_to_one_is_refused(tmp_path: Path) -> None:
    """LZMA also asks for as much memory as the archive says."""
    archive = tmp_path / "archive.zip"
    with ZipFile(archive, "w", ZIP_LZMA) as file:
        file.writestr("a", b"x")

    with pytest.raises(ArchiveRefused, match="compressed by method 14; accepted: stored, deflated"):
        unpack(archive, tmp_path / "set", FREE)


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        ({"max_files": 3}, "lists more than 3 files"),
        ({"max_unpacked_bytes": 5_000}, "unpacks to more than 5,000 bytes"),
        ({"max_label_bytes": 30}, r"labels \(\.json, \.mat, \.txt\) may have 30 bytes"),
    ],
)
def test_an_archive_over_a_bound_is_refused(
    tmp_path: Path, bounds: dict[str, int], reason: str
) -> None:
    """An operator's own bounds hold."""
    with pytest.raises(ArchiveRefused, match=reason):
        unpacked(tmp_path, GOOD, UploadBounds(free_bytes=0, **bounds))


def test_a_bomb_is_stopped_while_it_unpacks(tmp_path: Path) -> None:
    """By its ratio: not a tenth of it reaches the disk."""
    bomb = with_entry("images/bomb.bin", bytes(200 << 20))

    with pytest.raises(ArchiveRefused, match="unpacks to more than 50 times its size"):
        unpacked(tmp_path, bomb)

    assert sum(f.stat().st_size for f in (tmp_path / "set").rglob("*") if f.is_file()) < 20 << 20


def test_the_disk_s_spare_room_is_not_taken(tmp_path: Path) -> None:
    """Databases and checkpoints need it."""
    with pytest.raises(DiskFull, match="there is no space left"):
        unpacked(tmp_path, GOOD, UploadBounds(free_bytes=1 << 60))


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["..", ".", "a", "/", "\\", "C:", ""])).map("/".join)
)
@example("a/../../b")
@example("//a")
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    """Whatever it is: refused, or below."""
    folder = Path("/srv/data")
    try:
        inner = inner_path(name)
    except ArchiveRefused:
        return

    assert (folder / inner).resolve().is_relative_to(folder)
    assert (folder / inner) != folder
    assert ".." not in inner.parts
    assert isinstance(inner, PurePosixPath)


def test_stored_entries_are_counted_too(tmp_path: Path) -> None:
    """A CRC that is wrong shows at the entry's end."""
    archive = tmp_path / "archive.zip"
    with ZipFile(archive, "w", ZIP_STORED) as file:
        file.writestr(ZipInfo("a"), b"hello")
    changed = archive.read_bytes().replace(b"hello", b"jello")

    assert zlib.crc32(b"hello") != zlib.crc32(b"jello")
    with pytest.raises(ArchiveRefused, match="Bad CRC-32"):
        unpacked(tmp_path, changed)
