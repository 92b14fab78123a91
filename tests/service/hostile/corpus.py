"""Several hundred requests that no honest client sends, the same in every run.

They are bytes for a socket: no client library stands between, which would refuse to send them.
"""

import io
import json
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from model.images import FORMATS

BOUNDARY: Final = "hostile"
_FORM: Final = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
_JSON: Final = {"Content-Type": "application/json"}
_CUTS: Final = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.95, 0.99)
_FLIPS: Final = 12
_SIDE: Final = 96


class Hostile(NamedTuple):
    """A request. pause_s: for so long the sender rests in the midst of its body."""

    name: str
    body: bytes = b""
    method: str = "POST"
    target: str = "/predict"
    headers: dict[str, str] = {}  # noqa: RUF012  # nobody writes into it
    pause_s: float = 0.0

    @property
    def head(self) -> bytes:
        """The request's first lines, with the body's length unless a header tells of it."""
        lines = {"Host": "localhost", "Connection": "close", **self.headers}
        if not {"Content-Length", "Transfer-Encoding"} & set(lines):
            lines["Content-Length"] = str(len(self.body))
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"{self.method} {self.target} HTTP/1.1\r\n{text}\r\n".encode("latin-1", "replace")


def photograph() -> bytes:
    """An honest JPEG."""
    return encoded("JPEG")


def corpus() -> Iterator[Hostile]:
    """All of them."""
    for make in (_damaged, _bombs, _other_kinds, _exif, _boxes, _parameters, _forms, _http, _other):
        yield from make()


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


def _part(name: str, data: bytes, file: str | None = None) -> bytes:
    given = f'; filename="{file}"' if file is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{given}\r\n\r\n'
    return head.encode() + data + b"\r\n"


_END: Final = f"--{BOUNDARY}--\r\n".encode()
_IMAGE: Final = _part("image", encoded("JPEG"), "a.jpg")


def _boxes() -> Iterator[Hostile]:
    sides = ("0", "-1", "NaN", "Infinity", "-Infinity", "1e308", "1e999", "-1e-999", "9" * 400)
    texts = [f"[[{v}, 1, 5, 5]]" for v in sides] + [f"[[1, 1, {v}, 5]]" for v in sides]
    texts += [f"[[1, 1, 5, {v}]]" for v in ('"5"', "null", "true", "[]", "{}", "0.5", "1e6", "1e7")]
    texts += [
        "",
        " ",
        "null",
        "{}",
        "[[]]",
        "[[1,2,3]]",
        "[[1,2,3,4,5]]",
        "[1,2,3,4]",
        '"[]"',
        "[,]",
    ]
    texts += [
        "[" * 100_000,
        "[" * 900 + "]" * 900,
        '{"a":' * 50_000,
        "[[1,1,5,5]" * 1000,
        "\0",
        "é",
    ]
    texts += [json.dumps([[1, 1, 5, 5]] * n) for n in (65, 10_000)] + [
        "[[1e5,1e5,5,5]]",
        "[[1,1,1,1]] x",
    ]
    texts += [
        "[[" + "1" * 5_000 + ",1,5,5]]",
        "[[-999999,-999999,999999,999999]]",
        "\\u0000",
        "[[1,1,5,5],]",
    ]
    for i, text in enumerate(texts):
        body = _IMAGE + _part("boxes", text.encode()) + _END
        yield Hostile(f"boxes {i}: {text[:30]!r}", body, headers=_FORM)
    yield Hostile("boxes of bytes", _IMAGE + _part("boxes", b"\xff\xfe[[") + _END, headers=_FORM)
    yield Hostile(
        "boxes as a file", _IMAGE + _part("boxes", bytes(300_000), "b") + _END, headers=_FORM
    )


def _parameters() -> Iterator[Hostile]:
    jpeg = photograph()
    queries = (
        "model=",
        "model=:",
        "model=a:b:c",
        "model=..%2F..%2Fetc",
        "model=%00",
        "model=okdhp:-1",
    )
    queries += ("model=okdhp:99999999999999999999", "model=okdhp:1e3", "model=" + "a" * 4_000)
    queries += ("model=%27%20OR%201=1--", "model=%FF%FE", "model=%ED%A0%80", "model=okdhp:%D9%A1")
    queries += ("format=exe", "format=", "format=png&format=json", "flip_test=maybe", "ensemble=2")
    queries += (
        "ensemble=true",
        "boxes=[[",
        "a=b",
        "=",
        "&&&&",
        "%",
        "%zz",
        "a[]=1&a[0][b]=2",
        "MODEL=x",
    )
    queries += (
        "&".join(f"a{i}=1" for i in range(3_000)),
        "x" * 8_000,
        "flip_test",
        "image=a",
        ";;;",
    )
    for query in queries:
        yield Hostile(f"query {query[:40]!r}", jpeg, target=f"/predict?{query}")
    for wait in ("0", "-1", "1e3", "NaN", "", "9" * 30, "١", "1 1", "0x10", "1"):
        yield Hostile(f"waits {wait!r}", jpeg, headers={"X-Timeout-Ms": wait})


def _forms() -> Iterator[Hostile]:
    def form(name: str, body: bytes, kind: str = _FORM["Content-Type"]) -> Hostile:
        return Hostile(f"form: {name}", body, headers={"Content-Type": kind})

    yield form("of nothing", b"")
    yield form("of its end alone", _END)
    yield form("without an end", _IMAGE)
    yield form("cut in a part", _IMAGE[:200])
    yield form("without a boundary", _IMAGE + _END, "multipart/form-data")
    yield form("with an empty boundary", _IMAGE + _END, "multipart/form-data; boundary=")
    yield form("with another boundary", _IMAGE + _END, "multipart/form-data; boundary=other")
    yield form("with a long boundary", _IMAGE, "multipart/form-data; boundary=" + "b" * 5_000)
    yield form("with a charset of no name", _IMAGE + _END, _FORM["Content-Type"] + "; charset=no")
    yield form("with a charset of UTF-7", _IMAGE + _END, _FORM["Content-Type"] + "; charset=utf-7")
    yield form("with the image as text", _part("image", b"text") + _END)
    yield form("without the image", _part("format", b"json") + _END)
    yield form("with 17 images", _IMAGE * 17 + _END)
    yield form("with 200 images", _IMAGE * 200 + _END)
    yield form("with 1000 fields", _IMAGE + _part("a", b"1") * 1_000 + _END)
    yield form("with a large field", _IMAGE + _part("model", b"a" * 400_000) + _END)
    yield form("with a field twice", _IMAGE + _part("model", b"okdhp") * 2 + _END)
    yield form("with a name of no letters", _part("", b"1") + _END)
    yield form("with a name of 100 kB", _part("n" * 100_000, b"1") + _END)
    yield form("with a path for a file", _part("image", encoded("PNG"), "../../etc/passwd") + _END)
    yield form("with NUL in a file's name", _part("image", encoded("PNG"), "a\0.png") + _END)
    bare = f"--{BOUNDARY}\r\n".encode()
    yield form("with a part of no header", bare + b"\r\n\r\n" + _END)
    yield form(
        "with a part of no name", bare + b"Content-Disposition: form-data\r\n\r\na\r\n" + _END
    )
    yield form("with a header of noise", bare + b"\xff\xfe\xfd: \x80\r\n\r\na\r\n" + _END)
    long = b"A: " + b"a" * 100_000 + b"\r\n"
    yield form("with a long header in a part", bare + long + b"\r\na\r\n" + _END)
    yield form("with many headers in a part", bare + b"A: a\r\n" * 5_000 + b"\r\na\r\n" + _END)
    yield form("of noise", random.Random(2).randbytes(20_000))
    yield form("with two damaged of three images", _IMAGE + _part("image", b"no", "b") * 2 + _END)
    yield form("with two images to draw", _IMAGE * 2 + _part("format", b"png") + _END)
    yield form("with boxes for more images", _IMAGE * 2 + _part("boxes", b"[null]") + _END)
    for kind in ("text/plain", "application/json", "multipart/mixed; boundary=a", "a", "/", "é/ö"):
        yield form(f"said to be {kind}", _IMAGE + _END, kind)
    for coding in ("gzip", "br", "deflate, gzip"):
        yield Hostile(f"coded as {coding}", bytes(99), headers={"Content-Encoding": coding})


def _http() -> Iterator[Hostile]:
    jpeg = photograph()
    yield Hostile("HTTP: a slow body", jpeg, pause_s=60.0)
    yield Hostile("HTTP: a slow form", _IMAGE + _END, headers=_FORM, pause_s=60.0)
    yield Hostile(
        "HTTP: a slow job", b'{"kind": "distill"}', target="/jobs", headers=_JSON, pause_s=60
    )
    yield Hostile("HTTP: announces much", jpeg, headers={"Content-Length": "99999999999"})
    yield Hostile("HTTP: announces too much", jpeg, headers={"Content-Length": "9" * 50})
    for length in ("-1", "1e3", "abc", "", "+5", "5, 6"):
        yield Hostile(f"HTTP: length {length!r}", jpeg, headers={"Content-Length": length})
    chunked = {"Transfer-Encoding": "chunked"}
    whole = f"{len(jpeg):x}\r\n".encode() + jpeg + b"\r\n0\r\n\r\n"
    yield Hostile("HTTP: in one chunk", whole, headers=chunked)
    small = b"".join(b"1\r\n" + jpeg[i : i + 1] + b"\r\n" for i in range(len(jpeg)))
    yield Hostile("HTTP: in chunks of a byte", small + b"0\r\n\r\n", headers=chunked)
    for size in (b"zz", b"-5", b"ffffffffffffffffff", b""):
        yield Hostile(f"HTTP: a chunk of {size!r}", size + b"\r\nabc\r\n0\r\n\r\n", headers=chunked)
    both = {**chunked, "Content-Length": "5"}
    yield Hostile("HTTP: two lengths", whole, headers=both)
    yield Hostile("HTTP: another coding", whole, headers={"Transfer-Encoding": "gzip"})
    yield Hostile("HTTP: a large header", jpeg, headers={"X-Large": "a" * 200_000})
    yield Hostile("HTTP: many headers", jpeg, headers={f"X-{i}": "a" * 50 for i in range(2_000)})
    yield Hostile("HTTP: a header of noise", jpeg, headers={"X-Odd": "\x01\x7f\xff"})
    yield Hostile("HTTP: a name of noise", jpeg, headers={"X Odd\x00": "a"})
    yield Hostile("HTTP: two lines in a header", jpeg, headers={"X-Odd": "a\r\n b"})
    yield Hostile("HTTP: a long target", jpeg, target="/" + "a" * 100_000)
    for target in (
        "predict",
        "*",
        "//predict",
        "/predict/",
        "/%2e%2e/etc/passwd",
        "/docs/static/../x",
    ):
        yield Hostile(f"HTTP: target {target}", jpeg, target=target)
    yield Hostile("HTTP: an address for a target", jpeg, target="http://example.com/predict")
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW", "get", "P OST"):
        yield Hostile(f"HTTP: method {method}", method=method)
    for key in ("Bearer", "Bearer " + "a" * 5_000, "Basic YTpi", "Bearer \xff", "\0"):
        yield Hostile(f"HTTP: key {key[:12]!r}", jpeg, headers={"Authorization": key})


def _other() -> Iterator[Hostile]:
    deep = b'{"kind":"distill","config":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_002
    bodies = {
        "nothing": b"",
        "no JSON": b"{",
        "noise": random.Random(3).randbytes(500),
        "a list": b"[]",
        "null": b"null",
        "NaN": b'{"kind": NaN, "config": Infinity, "name": -Infinity, "reason": NaN}',
        "a half surrogate": b'{"kind": "\\ud800", "name": "\\ud800", "reason": "\\ud800"}',
        "NUL": b'{"kind": "distill\\u0000", "name": "a\\u0000", "reason": "\\u0000"}',
        "deep": deep,
        "lists in lists": b"[" * 200_000,
        "a large number": b'{"kind": "distill", "config": {"seed": ' + b"9" * 5_000 + b"}}",
        "a key twice": b'{"kind": "distill", "kind": "x", "config": {}}',
        "a long text": json.dumps({"kind": "k" * 500_000, "name": "n" * 400_000}).encode(),
        "UTF-16": '{"kind": "distill"}'.encode("utf-16"),
        "another type": b'{"kind": 1, "config": [], "name": {}, "format": 2, "path": 3, "job": 4}',
        "a path": b'{"name": "x", "format": "coco", "path": "../../../../etc/passwd"}',
        "too much": b'{"kind": "' + b"a" * 1_100_000 + b'"}',
    }
    posts = ("/jobs", "/datasets", "/models/okdhp/versions", "/models/okdhp/versions/1/promote")
    posts += ("/models/okdhp/rollback", "/v2/models/okdhp/infer")
    for target in posts:
        for name, body in bodies.items():
            honest = target.endswith(("promote", "rollback")) and not body
            if not honest:
                yield Hostile(f"{target} with {name}", body, target=target, headers=_JSON)
        yield Hostile(f"{target} as text", b"kind=distill", target=target)
    names = (
        "%00",
        "..%2F..",
        "%ED%A0%80",
        "a" * 3_000,
        "-1",
        "1e999",
        "%27--",
        "é",
        "99999999999999999999",
    )
    for name in names:
        yield Hostile(f"job {name[:9]}", target=f"/jobs/{name}", method="GET")
        yield Hostile(
            f"a file of job {name[:9]}", target=f"/jobs/{name}/artifacts/{name}", method="GET"
        )
        yield Hostile(f"model {name[:9]}", target=f"/models/{name}", method="GET")
        yield Hostile(f"version {name[:9]}", target=f"/models/okdhp/versions/{name}/load")
        yield Hostile(f"data set {name[:9]}", target=f"/datasets/{name}", method="GET")
        yield Hostile(f"jobs after {name[:9]}", target=f"/jobs?cursor={name}", method="GET")
        yield Hostile(f"jobs, {name[:9]}", target=f"/jobs?limit={name}", method="GET")
    key = {"Idempotency-Key": "k" * 300, **_JSON}
    yield Hostile("a long idempotency key", b'{"kind": "distill"}', target="/jobs", headers=key)
    for length in ("-1", "0", "99999999", "abc"):
        headers = {"Inference-Header-Content-Length": length}
        yield Hostile(f"tensors: JSON of {length}", b"{}", target=posts[-1], headers=headers)
    for shape in (
        "[-1, 256, 192, 3]",
        "[1e9]",
        "[99999999, 256, 192, 3]",
        "[]",
        "null",
        "[0,256,192,3]",
    ):
        tensor = f'{{"name": "image", "datatype": "UINT8", "shape": {shape}, "data": [1]}}'
        body = f'{{"inputs": [{tensor}]}}'
        yield Hostile(f"tensors of shape {shape}", body.encode(), target=posts[-1], headers=_JSON)
