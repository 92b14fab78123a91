"""Pictures that are damaged, that unpack to much, that are something else, or that lie."""

import io
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np
from PIL import Image

from model.images import FORMATS
from tests.service.hostile.request import Hostile

_CUTS: Final = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.95, 0.99)
_FLIPS: Final = 12
_SIDE: Final = 96


def pictures() -> Iterator[Hostile]:
    """All of them, as the body of /predict."""
    for make in (_damaged, _bombs, _other_kinds, _exif):
        yield from make()


def photograph() -> bytes:
    """An honest JPEG."""
    return encoded("JPEG")


def encoded(kind: str) -> bytes:
    """A small picture of one of `FORMATS`."""
    columns, rows = np.meshgrid(np.arange(_SIDE), np.arange(_SIDE))
    pixels = np.stack([columns * 2, rows * 2, (columns * rows) % 256], -1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def _damaged() -> Iterator[Hostile]:
    chance = random.Random(13)
    for kind in FORMATS:
        whole = encoded(kind)
        for share in _CUTS:
            yield Hostile(f"{kind} cut at {share:.0%}", whole[: int(len(whole) * share)])
        for i in range(_FLIPS):
            # Half of them where the header is: a flip among the pixels is mostly just noise.
            within = min(len(whole), 200) if i % 2 else len(whole)
            flipped = bytearray(whole)
            for _ in range(1 + i):
                flipped[chance.randrange(within)] ^= 1 << chance.randrange(8)
            yield Hostile(f"{kind} with flipped bits, {i}", bytes(flipped))
        yield Hostile(f"{kind} sent twice in one", whole + whole)
        yield Hostile(
            f"{kind} with zeros for its second half", whole[: len(whole) // 2] + bytes(999)
        )
        yield Hostile(f"{kind} with noise behind it", whole + chance.randbytes(50_000))
        yield Hostile(f"{kind} behind noise", chance.randbytes(16) + whole)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, *between: bytes, pixels: bytes = b"") -> bytes:
    """A PNG of whatever its header says, 8-bit grey."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    data = _chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(between) + data + _chunk(b"IEND", b"")


def _tiff(width: int, height: int, *tags: tuple[int, int, int, int]) -> bytes:
    """A TIFF of one directory: 8-bit grey, uncompressed. tags: (tag, type, count, value)."""
    own = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1)}
    own |= {
        273: (4, 1, 8),
        277: (3, 1, 1),
        278: (4, 1, height),
        279: (4, 1, min(width * height, 2**32 - 1)),
    }
    own |= {tag: rest for tag, *rest in tags}  # type: ignore[misc]
    rows = b"".join(struct.pack("<HHII", tag, *own[tag]) for tag in sorted(own))
    return b"II*\0" + struct.pack("<IH", 8, len(own)) + rows + bytes(4)


def many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan comes so many times more, each over all its pixels."""
    buffer = io.BytesIO()
    Image.new("L", (side, side), 90).save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * scans + whole[-2:]


def many_chunks(chunks: int) -> bytes:
    """A PNG with so many empty chunks before its pixels."""
    return _png(8, 8, _chunk(b"teSt", b"") * chunks, pixels=bytes(72))


def many_strips(strips: int) -> bytes:
    """A TIFF that tells of so many strips of its few pixels."""
    at = 8 + 2 + 9 * 12 + 4
    head = _tiff(8, 8, (273, 4, strips, at), (279, 4, strips, at + 4 * strips), (278, 4, 1, 1))
    return head + struct.pack("<I", 8) * strips + struct.pack("<I", 8) * strips


def _frames(kind: str, count: int) -> bytes:
    frames = [Image.new("RGB", (16, 16), (i % 256, i // 256, 0)) for i in range(count)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def _bombs() -> Iterator[Hostile]:
    for side in (7_100, 30_000, 65_535, 2**20, 2**31 - 1):
        yield Hostile(f"PNG of {side}²", _png(side, side))
        yield Hostile(f"TIFF of {side}²", _tiff(side, side))
        yield Hostile(f"BMP of {side}²", encoded("BMP")[:18] + struct.pack("<ii", side, side))
    yield Hostile("PNG of no width", _png(0, 10))
    yield Hostile("PNG of a line", _png(2**31 - 1, 1))
    yield Hostile("PNG of few pixels that unpacks to many", _png(8, 8, pixels=bytes(30_000_000)))
    text = zlib.compress(bytes(30_000_000))
    yield Hostile("PNG whose text unpacks to many", _png(8, 8, _chunk(b"zTXt", b"a\0\0" + text)))
    yield Hostile("PNG whose profile unpacks", _png(8, 8, _chunk(b"iCCP", b"a\0\0" + text)))
    jpeg = encoded("JPEG")
    size = jpeg.index(b"\xff\xc0") + 5
    for side in (7_100, 30_000, 65_535):
        named = jpeg[:size] + struct.pack(">HH", side, side) + jpeg[size + 4 :]
        yield Hostile(f"JPEG of {side}²", named)
    yield Hostile("JPEG of thousands of scans", many_scans(2_000, 5_000))
    yield Hostile("PNG of many chunks", many_chunks(400_000))
    yield Hostile("TIFF of many strips", many_strips(400_000))
    for kind in ("GIF", "WEBP", "PNG", "TIFF", "AVIF"):
        yield Hostile(f"{kind} of many frames", _frames(kind, 150))
    loop = struct.pack("<I", 8)  # the next directory is this one
    yield Hostile("TIFF whose directories are a ring", _tiff(8, 8)[:-4] + loop + bytes(64))
    for compression in (
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        32773,
        32946,
        34676,
        34887,
        34925,
        50000,
        50001,
        65535,
    ):
        body = _tiff(64, 64, (259, 3, 1, compression)) + bytes(4096)
        yield Hostile(f"TIFF compressed by {compression}", body)


def _other_kinds() -> Iterator[Hostile]:
    jpeg = encoded("JPEG")
    others = {
        "nothing": b"",
        "a byte": b"\xff",
        "zeros": bytes(100_000),
        "GIF": _frames("GIF", 1),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n",
        "PDF": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>",
        "ZIP": b"PK\x03\x04" + bytes(26),
        "ELF": b"\x7fELF\x02\x01\x01" + bytes(57),
        "pickle": b"\x80\x04cposix\nsystem\n(S'true'\ntR.",
        "HTML": b"<html><script>alert(1)</script></html>",
        "a URL": b"http://169.254.169.254/latest/meta-data/",
        "JSON": b'{"image": "aGVsbG8="}',
        "a PPM": b"P6 8 8 255\n" + bytes(192),
        "XBM": b"#define a_width 8\n#define a_height 8\nstatic char a_bits[] = {0};",
        "ICO": b"\0\0\1\0\1\0" + bytes(16) + _png(8, 8),
        "PSD": b"8BPS\0\1" + bytes(20),
        "FITS": b"SIMPLE  =                    T" + b" " * 2850,
    }
    for name, body in others.items():
        yield Hostile(f"{name} for an image", body)
        yield Hostile(f"{name} said to be a JPEG", body, headers={"Content-Type": "image/jpeg"})
    for name in ("ZIP", "HTML", "PDF", "EPS"):
        yield Hostile(f"JPEG that is {name} as well", jpeg + others[name])
        yield Hostile(f"{name} that is a JPEG as well", others[name] + jpeg)
    yield Hostile("JPEG with HTML for a comment", _with_segment(0xFE, others["HTML"]))
    yield Hostile("PNG in a JPEG's segment", _with_segment(0xED, _png(8, 8)))


def _with_segment(marker: int, data: bytes) -> bytes:
    jpeg = encoded("JPEG")
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + jpeg[2:]


def _exif() -> Iterator[Hostile]:
    def block(*rows: tuple[int, int, int, int]) -> bytes:
        listed = b"".join(struct.pack("<HHII", *row) for row in rows)
        return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(rows)) + listed + bytes(4)

    odd = {
        "an orientation of 0": block((274, 3, 1, 0)),
        "an orientation of 9": block((274, 3, 1, 9)),
        "an orientation of 65535": block((274, 3, 1, 65_535)),
        "an orientation in words": block((274, 2, 4, 0x41414141)),
        "an orientation of many": block((274, 3, 2**31, 8)),
        "an orientation by no divisor": block((274, 5, 1, 26)),
        "an orientation of no known type": block((274, 99, 1, 1)),
        "a pointer to itself": block((0x8769, 4, 1, 8)),
        "a pointer beyond the file": block((0x8769, 4, 1, 2**32 - 1)),
        "a thousand orientations": block(*[(274, 3, 1, 6)] * 1000),
        "an orientation that lies": block((274, 3, 1, 6)),
        "nothing but a name": b"Exif\0\0",
        "half a header": b"Exif\0\0II*",
        "another byte order": b"Exif\0\0XX*\0" + bytes(30),
        "noise": b"Exif\0\0" + random.Random(1).randbytes(60_000),
    }
    for name, data in odd.items():
        yield Hostile(f"EXIF with {name}", _with_segment(0xE1, data))
