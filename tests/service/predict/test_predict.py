"""POST /predict: an image in, poses of the upright image out, however a client sends it."""

import io
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from PIL import Image

SPOT = (150, 40)  # where the picture is white, and so where the student finds every joint


@pytest.fixture
def spotted() -> bytes:
    """A black picture 200 wide and 120 high, with one white pixel."""
    return png(dark())


def dark() -> Image.Image:
    image = Image.new("RGB", (200, 120))
    image.putpixel(SPOT, (255, 255, 255))
    return image


def png(image: Image.Image, **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **how)
    return buffer.getvalue()


def box_round(x: float, y: float) -> str:
    """A box as large as the student's crop, so that a crop pixel is an image pixel."""
    return f"[[{x - 20}, {y - 30}, 64, 64]]"


def first_point(response: Response) -> tuple[float, float]:
    assert response.status_code == 200, response.text
    joint = response.json()["poses"][0]["keypoints"][0]
    return joint["x"], joint["y"]


def test_the_answer_has_exactly_what_is_promised(client: TestClient, spotted: bytes) -> None:
    """Programs are written against these names."""
    body = client.post("/predict", files={"image": spotted}).json()

    assert list(body) == ["model", "image", "poses", "timings_ms"]
    assert body["model"] == {
        "name": "glow",
        "version": 1,
        "branch": "branch0",
        "variant": "fp32",
        "skeleton": "mpii16",
        "provider": "CPUExecutionProvider",
    }
    assert body["image"] == {"width": 200, "height": 120}
    assert [list(pose) for pose in body["poses"]] == [["box", "score", "keypoints"]]
    assert body["poses"][0]["box"] == [0, 0, 200, 120]
    assert len(body["poses"][0]["keypoints"]) == 16
    assert list(body["poses"][0]["keypoints"][0]) == ["name", "x", "y", "score", "visible"]
    assert body["poses"][0]["keypoints"][0]["visible"] is None, "its data did not know"
    assert list(body["timings_ms"]) == ["decode", "preprocess", "queue", "inference", "total"]


def test_timings_are_measured_and_add_up(client: TestClient, spotted: bytes) -> None:
    """A total that is less than its parts would be somebody's guess."""
    timings = client.post("/predict", files={"image": spotted}).json()["timings_ms"]

    parts = timings["decode"] + timings["preprocess"] + timings["inference"]
    assert all(value > 0 for value in timings.values())
    assert timings["total"] >= parts - 0.02  # each is rounded


def test_points_are_pixels_of_the_image(client: TestClient, spotted: bytes) -> None:
    """The white pixel is found where it was painted: the way to the crop is undone exactly."""
    response = client.post("/predict", files={"image": spotted}, data={"boxes": box_round(*SPOT)})

    assert first_point(response) == SPOT
    assert response.json()["poses"][0]["score"] == 1


@pytest.mark.parametrize(
    "media_type",
    [
        "image/png",
        "image/jpeg",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "",
    ],
)
def test_the_body_may_be_the_image(client: TestClient, spotted: bytes, media_type: str) -> None:
    """curl's --data-binary declares a form whatever it sends; a wrong type does no harm."""
    headers = {"Content-Type": media_type} if media_type else {}

    response = client.post(
        "/predict", content=spotted, headers=headers, params={"boxes": box_round(*SPOT)}
    )

    assert first_point(response) == SPOT


@pytest.mark.parametrize("place", ["params", "data"])
def test_parameters_stand_in_the_form_or_in_the_query(
    client: TestClient, spotted: bytes, place: str
) -> None:
    """Whichever is handier for the client."""
    given = {"boxes": box_round(*SPOT), "flip_test": "true", "model": "glow:1", "format": "json"}

    response = client.post("/predict", files={"image": spotted}, **{place: given})

    assert first_point(response) == SPOT


def test_boxes_may_be_a_file(client: TestClient, spotted: bytes) -> None:
    """`-F boxes=@boxes.json` is how curl sends what a detector wrote."""
    files = {"image": spotted, "boxes": ("boxes.json", box_round(*SPOT), "application/json")}

    assert first_point(client.post("/predict", files=files)) == SPOT


def test_every_box_has_its_pose_in_order(client: TestClient, spotted: bytes) -> None:
    """The caller tells people apart by their place in the list."""
    boxes = [[0, 0, 60, 60], [120, 10, 64, 64]]

    response = client.post("/predict", content=spotted, params={"boxes": str(boxes)})

    poses = response.json()["poses"]
    assert [pose["box"] for pose in poses] == boxes
    assert [pose["score"] for pose in poses] == [0, 1]


def test_no_boxes_mean_nobody(client: TestClient, spotted: bytes) -> None:
    """A detector that found no one must not be told of a person as large as the image."""
    assert client.post("/predict", content=spotted, params={"boxes": "[]"}).json()["poses"] == []


def test_the_picture_is_the_photograph_with_the_pose(client: TestClient, spotted: bytes) -> None:
    """What a person looks at first."""
    response = client.post("/predict", files={"image": spotted}, data={"format": "image"})

    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-okdhp-model"] == "glow:1:branch0"
    drawn = Image.open(io.BytesIO(response.content))
    assert (drawn.format, drawn.size) == ("PNG", (200, 120))


@pytest.mark.parametrize(
    "orientation", range(1, 9), ids=lambda orientation: f"orientation{orientation}"
)
def test_coordinates_are_those_of_the_upright_image(client: TestClient, orientation: int) -> None:
    """Cameras store turned pixels and a note; everybody looks at the upright picture."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = dark() if orientation == 1 else dark().transpose(undo[orientation])
    exif = Image.Exif()
    exif[274] = orientation

    response = client.post(
        "/predict", content=png(stored, exif=exif), params={"boxes": box_round(*SPOT)}
    )

    assert response.json()["image"] == {"width": 200, "height": 120}
    assert first_point(response) == SPOT


def unusual_images() -> dict[str, bytes]:
    """Pictures that are not plain 8-bit RGB, each with the spot."""

    def saved(image: Image.Image, format_: str, **how: Any) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, format_, **how)
        return buffer.getvalue()

    wide = Image.new("I;16", (200, 120))
    wide.putpixel(SPOT, 65535)
    clear = dark().convert("RGBA")
    clear.putalpha(255)
    film = {"save_all": True, "append_images": [Image.new("RGB", (200, 120), "red")]}
    return {
        "animated webp": saved(dark(), "WEBP", lossless=True, **film),
        "animated png": saved(dark(), "PNG", **film),
        "palette": saved(dark().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        "cmyk": saved(dark().convert("CMYK"), "TIFF"),
        "16 bit": saved(wide, "PNG"),
        "alpha": saved(clear, "PNG"),
        "grey": saved(dark().convert("L"), "PNG"),
        "one bit": saved(dark().convert("1"), "PNG"),
        "bmp": saved(dark(), "BMP"),
        "avif": saved(dark(), "AVIF", quality=100),
        "webp": saved(dark(), "WEBP", lossless=True),
    }


@pytest.mark.parametrize("kind", unusual_images())
def test_pictures_of_every_usual_kind_work(client: TestClient, kind: str) -> None:
    """People do not choose what their camera, scanner or browser saves."""
    response = client.post(
        "/predict", content=unusual_images()[kind], params={"boxes": box_round(*SPOT)}
    )

    assert first_point(response) == pytest.approx(SPOT, abs=1)


def test_a_cmyk_jpeg_works(client: TestClient) -> None:
    """Print shops send them; JPEG blurs the spot, so only the answer is looked at."""
    buffer = io.BytesIO()
    dark().convert("CMYK").save(buffer, "JPEG")

    assert client.post("/predict", content=buffer.getvalue()).status_code == 200


def test_several_photographs_are_answered_in_their_order(client: TestClient) -> None:
    """One request for an album, each with boxes of its own or as a whole."""
    pictures = []
    for x in (10, 60, 110):
        image = Image.new("RGB", (200, 120))
        image.putpixel((x, 40), (255, 255, 255))
        pictures.append(("image", png(image)))
    boxes = f"[{box_round(10, 40)}, null, []]"

    body = client.post("/predict", files=pictures, data={"boxes": boxes}).json()

    assert list(body) == ["model", "results", "timings_ms"]
    first, second, third = body["results"]
    assert first["image"] == {"width": 200, "height": 120}
    assert first["poses"][0]["keypoints"][0]["x"] == pytest.approx(10, abs=0.01)
    assert second["poses"][0]["keypoints"][0]["x"] == pytest.approx(60, abs=4)
    assert third["poses"] == []


def test_coco_results_hold_every_person(client: TestClient, spotted: bytes) -> None:
    """What `pycocotools` reads: COCO's loadRes."""
    boxes = f"[{box_round(*SPOT)}, {box_round(*SPOT)}]"
    files = [("image", spotted)] * 2

    people = client.post("/predict?format=coco", files=files, data={"boxes": boxes}).json()

    assert [person["image_id"] for person in people] == [0, 1]
    assert {person["category_id"] for person in people} == {1}
    assert people[0]["bbox"] == [SPOT[0] - 20, SPOT[1] - 30, 64, 64]
    assert people[0]["keypoints"][:3] == pytest.approx([*SPOT, 1.0], abs=0.01)
    assert len(people[0]["keypoints"]) == 3 * 16


@pytest.mark.parametrize(("format", "kind"), [("png", "PNG"), ("image", "PNG"), ("webp", "WEBP")])
def test_the_picture_comes_in_the_kind_that_was_asked_for(
    client: TestClient, spotted: bytes, format: str, kind: str
) -> None:
    """WebP is a tenth of PNG's size."""
    response = client.post(f"/predict?format={format}", content=spotted)

    assert response.headers["content-type"] == f"image/{kind.lower()}"
    assert response.headers["x-okdhp-model"] == "glow:1:branch0"
    assert Image.open(io.BytesIO(response.content)).format == kind


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_large_jpeg_keeps_its_points(client: TestClient, orientation: int) -> None:
    """It is decoded small, since its crop is: a tenth of the time, and within a pixel or two of a
    crop's own size the same points."""
    image = Image.new("RGB", (1607, 1203))
    image.paste((255, 255, 255), (900, 300, 932, 332))
    undo = {3: 3, 6: 2, 8: 4}  # Image.Transpose values
    stored = image if orientation == 1 else image.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    stored.save(buffer, "JPEG", quality=95, exif=exif)

    response = client.post("/predict", content=buffer.getvalue())

    assert response.json()["image"] == {"width": 1607, "height": 1203}
    # A crop of 64 pixels for 1607: one of its pixels spans 25.
    assert first_point(response) == pytest.approx((915.5, 315.5), abs=26)
