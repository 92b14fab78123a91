"""What strangers send to /predict: each is a 4xx that says what is wrong; the next one works."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from PIL import Image

from service.settings import ServiceSettings


def png(size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((300, 200), 60).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that announces a vast picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))


def assert_refused(response: Response, status: int, slug: str, *words: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["type"] == f"urn:okdhp:problem:{slug}"
    for word in words:
        assert word in document["detail"]
    assert "Traceback" not in response.text
    assert "/work/" not in response.text
    assert "/tmp/" not in response.text


@pytest.fixture(autouse=True)
def still_answers(client: TestClient) -> Iterator[None]:
    """Whatever was sent, the next good request is served."""
    yield
    assert client.post("/predict", content=png()).status_code == 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes"),
        (b"hello, this is text", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (b"%PDF-1.4\n", "not an image"),
        (b"\0" * 4096, "not an image"),
        (jpeg()[:100], ""),
        (jpeg()[: len(jpeg()) // 2], "cut short"),
        (png()[:-30], "cut short"),
        (png()[:40], ""),
        (b"\xff\xd8\xff", ""),
        (b"GIF89a", ""),
        (b"RIFF\xff\xff\xff\xffWEBPVP8 ", ""),
        (b"\0\0\0\x1cftypavif\0\0\0\0", ""),
        (b"II*\0\x08\0\0\0\xff\xff", ""),
        (b"BM" + b"\xff" * 60, ""),
        (bomb(0, 5), ""),
    ],
)
def test_what_is_no_image_is_refused(client: TestClient, content: bytes, words: str) -> None:
    """Not an image, empty, cut short or broken, in the raw body and in a form alike."""
    assert_refused(client.post("/predict", content=content), 415, "image-unreadable", words)
    assert_refused(
        client.post("/predict", files={"image": content}), 415, "image-unreadable", words
    )


@pytest.mark.parametrize("size", [(30_000, 30_000), (2**31 - 1, 2**31 - 1), (60_000_000, 1)])
def test_too_many_pixels_are_refused_by_the_header(
    client: TestClient, size: tuple[int, int]
) -> None:
    """Decoding would take gigabytes for a file of a hundred bytes."""
    assert_refused(
        client.post("/predict", content=bomb(*size)), 413, "image-too-large", "50,000,000"
    )


def test_too_many_bytes_are_refused(client: TestClient) -> None:
    """The fixture's limit is 2 MiB."""
    assert_refused(
        client.post("/predict", content=b"\0" * (2 * 1024**2 + 1)),
        413,
        "body-too-large",
        "2,097,152",
    )


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ("nonsense", "not JSON"),
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("{}", "no list"),
        ("null", "no list"),
        ("[1, 2, 3, 4]", "boxes[0] is not four numbers"),
        ("[[1, 2, 3]]", "boxes[0] is not four numbers"),
        ("[[1, 2, 3, 4, 5]]", "boxes[0]"),
        ('[[1, 2, "3", 4]]', "boxes[0]"),
        ("[[1, 2, true, 4]]", "boxes[0]"),
        ("[[1, 2, null, 4]]", "boxes[0]"),
        ("[[0, 0, 9, 9], [NaN, 0, 9, 9]]", "boxes[1]"),
        ("[[0, 0, Infinity, 9]]", "finite"),
        ("[[0, 0, -Infinity, 9]]", "finite"),
        ("[[0, 0, 1e999, 9]]", "finite"),
        (f"[[0, 0, 9, 1{'0' * 400}]]", "beyond all pixels"),
        (f"[[0, 0, 9, 1{'0' * 5000}]]", "not JSON"),
        ("[[0, 0, 0, 9]]", "no area"),
        ("[[0, 0, 9, -9]]", "no area"),
        ("[[0, 0, 1e-300, 9]]", "smaller than a pixel"),
        ("[[0, 0, 1e300, 1e300]]", "1,000,000"),
        ("[[-1e300, 0, 9, 9]]", "1,000,000"),
        ("[[0, 0, 9, 9], [64, 0, 9, 9]]", "boxes[1]"),
        ("[[0, 48, 9, 9]]", "outside the image"),
        ("[[-9, 0, 9, 9]]", "outside the image"),
        (str([[0, 0, 9, 9]] * 65), "at most 64"),
    ],
)
def test_boxes_that_are_no_boxes_are_refused(client: TestClient, boxes: str, words: str) -> None:
    """Each names the box at fault."""
    response = client.post("/predict", files={"image": png()}, data={"boxes": boxes})

    assert_refused(response, 422, "box-invalid", words)


@pytest.mark.parametrize("boxes", ["[[-500000, -500000, 999999, 999999]]", "[[63, 47, 1, 1]]"])
def test_odd_boxes_that_touch_the_image_are_answered(client: TestClient, boxes: str) -> None:
    """Detectors reach over edges."""
    response = client.post("/predict", files={"image": png()}, data={"boxes": boxes})

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("given", "status", "slug", "words"),
    [
        ({"model": "nobody"}, 404, "model-unknown", "nobody"),
        ({"model": "glow:7"}, 404, "version-unknown", "7"),
        ({"model": "glow:one"}, 404, "version-unknown", "one"),
        ({"model": "../../etc/passwd"}, 404, "model-unknown", "passwd"),
        ({"model": ""}, 404, "model-unknown", ""),
        ({"flip_test": "perhaps"}, 422, "request-invalid", "flip_test"),
        ({"format": "bmp"}, 422, "request-invalid", "'json', 'coco', 'image'"),
        ({"modle": "glow"}, 422, "request-invalid", "did you mean model?"),
    ],
)
def test_wrong_parameters_are_named(
    client: TestClient, given: dict[str, str], status: int, slug: str, words: str
) -> None:
    """A parameter that is passed over in silence is worse than an error."""
    form = client.post("/predict", files={"image": png()}, data=given)
    query = client.post("/predict", content=png(), params=given)

    assert_refused(form, status, slug, words)
    assert_refused(query, status, slug, words)


def test_a_parameter_given_twice_is_refused(client: TestClient) -> None:
    """Which of the two is meant nobody knows."""
    response = client.post(
        "/predict", files={"image": png()}, data={"model": "glow"}, params={"model": "glow:1"}
    )

    assert_refused(response, 422, "request-invalid", "model: was given twice")


def test_a_misnamed_image_is_told_the_right_name(client: TestClient) -> None:
    """`-F img=@photo.jpg` is the likeliest mistake."""
    response = client.post("/predict", files={"img": png()})

    assert_refused(response, 422, "request-invalid", "did you mean image?", "image: is missing")


def test_an_image_that_is_text_is_told_how_to_be_a_file(client: TestClient) -> None:
    """`-F image=photo.jpg` without the @."""
    response = client.post("/predict", files={"other": b""}, data={"image": "photo.jpg"})

    assert_refused(response, 422, "request-invalid", "-F image=@photo.jpg")


def test_more_images_than_the_limit_are_refused(client: TestClient) -> None:
    """A request is one piece of work, of a bounded size."""
    response = client.post("/predict", files=[("image", png())] * 17)

    assert_refused(response, 422, "request-invalid", "17 times", "at most 16")


def test_several_images_have_no_one_picture(client: TestClient) -> None:
    """An answer has one body."""
    response = client.post("/predict?format=png", files=[("image", png())] * 2)

    assert_refused(response, 422, "request-invalid", "png of 2 images")


@pytest.mark.parametrize("boxes", ["[]", "[[1, 2, 3, 4]]", "[[], [], []]", "[[[0, 0, 9, 9]], 5]"])
def test_boxes_of_several_images_are_a_list_for_each(client: TestClient, boxes: str) -> None:
    """Else nobody could tell whose they are."""
    response = client.post("/predict", files=[("image", png())] * 2, data={"boxes": boxes})

    assert_refused(response, 422, "box-invalid", "boxes")


@pytest.mark.parametrize("timeout", ["soon", "0", "-5", "1e3", "", "9" * 12])
def test_a_deadline_is_milliseconds(client: TestClient, timeout: str) -> None:
    """One that is misread would drop good work."""
    response = client.post("/predict", content=png(), headers={"X-Timeout-Ms": timeout})

    assert_refused(response, 422, "request-invalid", "x-timeout-ms", "milliseconds")


def test_an_ensemble_needs_other_branches(client: TestClient) -> None:
    """It is said how they are registered."""
    response = client.post("/predict?ensemble=true", content=png())

    assert_refused(
        response, 422, "request-invalid", "no other branch", "POST /models/glow/versions"
    )


@pytest.mark.parametrize("media_type", ["application/json", "text/html", "video/mp4", "nonsense"])
def test_bodies_of_other_kinds_are_refused(client: TestClient, media_type: str) -> None:
    """With what is accepted."""
    response = client.post("/predict", content=b"{}", headers={"Content-Type": media_type})

    assert_refused(response, 415, "media-type-unsupported", media_type, "multipart/form-data")


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"no boundary at all"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--",
        ),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken header\r\n\r\n1\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\ncut off',
        ),
        ("multipart/form-data; boundary=" + "x" * 1000, b"--x"),
    ],
)
def test_malformed_forms_are_refused(client: TestClient, media_type: str, content: bytes) -> None:
    """Cut off, without a boundary or with broken headers."""
    response = client.post("/predict", content=content, headers={"Content-Type": media_type})

    assert response.status_code in (400, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_a_flood_of_fields_is_refused(client: TestClient) -> None:
    """A form of thousands of parts costs more than the image."""
    files: list[tuple[str, Any]] = [("image", png())] * 100

    assert client.post("/predict", files=files).status_code == 400
    many = {f"f{i}": "1" for i in range(100)}
    assert client.post("/predict", files={"image": png()}, data=many).status_code == 400


def test_limits_are_settings(
    with_student: ServiceSettings,
    started: Callable[[ServiceSettings], AbstractContextManager[TestClient]],
) -> None:
    """An operator with huge scans, or with a small machine, says so."""
    small = with_student.model_copy(update={"max_pixels": 1000, "max_boxes": 1})
    with started(small) as client:
        assert client.post("/predict", content=png()).status_code == 413
        response = client.post(
            "/predict", content=png((20, 20)), params={"boxes": "[[0,0,5,5],[1,1,5,5]]"}
        )
        assert_refused(response, 422, "box-invalid", "at most 1")
