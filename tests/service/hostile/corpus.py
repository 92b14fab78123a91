"""Several hundred requests that no honest client sends, the same in every run."""

import json
import random
from collections.abc import Iterator
from typing import Final

from tests.service.hostile.pictures import encoded, photograph, pictures
from tests.service.hostile.request import Hostile
from tests.worker.datasets.zips import LINK, coco_files, lsp_files, with_entry, zipped

_BOUNDARY: Final = "hostile"
_FORM: Final = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
_JSON: Final = {"Content-Type": "application/json"}


def corpus() -> Iterator[Hostile]:
    """All of them."""
    yield from pictures()
    for make in (_boxes, _parameters, _forms, _http, _uploads, _other):
        yield from make()


def _part(name: str, data: bytes, file: str | None = None) -> bytes:
    given = f'; filename="{file}"' if file is not None else ""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{given}\r\n\r\n'
    return head.encode() + data + b"\r\n"


_END: Final = f"--{_BOUNDARY}--\r\n".encode()
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
    bare = f"--{_BOUNDARY}\r\n".encode()
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
    yield Hostile("HTTP: a slow body", jpeg, stops=True)
    yield Hostile("HTTP: a slow form", _IMAGE + _END, headers=_FORM, stops=True)
    yield Hostile(
        "HTTP: a slow job", b'{"kind": "distill"}', target="/jobs", headers=_JSON, stops=True
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


def _uploads() -> Iterator[Hostile]:
    """What an archive may be: tests/worker/datasets/test_archive.py has them all."""
    archives = {
        "nothing": b"",
        "noise": random.Random(4).randbytes(5_000),
        "an end without a list": b"PK\5\6" + b"\xff" * 18,
        "half of one": zipped(lsp_files())[:900],
        "no set in it": zipped({"a.txt": b"hello"}),
        "two sets in it": zipped({**lsp_files(), **coco_files()}),
        "a way out": with_entry("../../evil.txt"),
        "a link": with_entry("images/link", b"/etc/passwd", mode=LINK),
        "a bomb": with_entry("images/bomb.bin", bytes(32 << 20)),
        "labels that are none": zipped({"joints.mat": b"MATLAB 5.0"}),
        "labels of nobody": zipped({"annotations/person_keypoints_train.json": b"{}"}),
    }
    to = {"method": "PUT", "target": "/datasets/hostile/archive"}
    for name, archive in archives.items():
        yield Hostile(f"upload: {name}", archive, **to)
    yield Hostile("upload: a slow one", archives["a bomb"], stops=True, **to)
    for given in ({"Content-Type": "text/html"}, {"Content-Length": "99999999999"}):
        yield Hostile(f"upload: {next(iter(given))}", b"PK", headers=given, **to)
    yield Hostile("upload: another format", b"PK", "PUT", f"{to['target']}?format=%00")


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
        for method in ("GET", "DELETE"):
            yield Hostile(
                f"data set {method} {name[:9]}", target=f"/datasets/{name}", method=method
            )
        if "%2F" not in name:  # which is another address
            target = f"/datasets/{name}/archive"
            yield Hostile(f"upload to {name[:9]}", target=target, method="PUT")
        for method in ("GET", "DELETE"):
            target = f"/datasets/okdhp/versions/{name}"
            yield Hostile(f"data set's {method} {name[:9]}", target=target, method=method)
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
