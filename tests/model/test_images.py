"""Pictures from strangers: what is accepted comes out right, all else is one of our two errors."""

import io
import itertools
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.errors import ImageTooLarge, ImageUnreadable
from model.images import FORMATS, MAX_PIECES, MAX_SCANS, Photograph, open_image, read_image

RED, GREEN, BLUE, GREY = (220, 30, 40), (30, 200, 60), (40, 50, 210), (128, 128, 128)


def four_corners(width: int = 48, height: int = 32) -> Image.Image:
    """Red, green / blue, grey quarters: tells every turn and mirror from every other."""
    pixels = np.empty((height, width, 3), np.uint8)
    top, left = slice(0, height // 2), slice(0, width // 2)
    pixels[:] = GREY
    pixels[top, :], pixels[:, left] = GREEN, BLUE
    pixels[top, left] = RED
    return Image.fromarray(pixels)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def assert_upright(image: Image.Image, tolerance: int = 40) -> None:
    """The four quarters of `four_corners` lie where they belong."""
    assert (image.mode, image.size) == ("RGB", (48, 32))
    for corner, expected in (((8, 8), RED), ((40, 8), GREEN), ((8, 24), BLUE), ((40, 24), GREY)):
        assert np.abs(np.subtract(image.getpixel(corner), expected)).max() <= tolerance, corner


def png(ihdr: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG out of its header and chunks, with right checksums."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr)
    return head + b"".join(chunk(*c) for c in chunks) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format", FORMATS)
def test_every_accepted_format_opens_as_rgb(format: str):
    """The list in the error message must be true."""
    assert_upright(open_image(encoded(four_corners(), format)))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stands_upright_by_its_exif(format: str, orientation: int):
    """Joints are told in the upright picture's pixels, which is what the user sees."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose values
    stored = four_corners()
    if orientation > 1:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation

    image = open_image(encoded(stored, format, exif=exif))

    assert_upright(image)
    assert image.getexif().get(0x0112, 1) == 1, "a second reader would turn it again"


def test_a_damaged_exif_block_does_not_spoil_the_picture():
    """A picture is worth more than its metadata."""
    data = encoded(four_corners(), "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01")

    assert_upright(open_image(data))


@pytest.mark.parametrize(
    ("mode", "format", "tolerance"),
    [
        ("P", "PNG", 60),
        ("P", "BMP", 60),
        ("CMYK", "JPEG", 60),
        ("CMYK", "TIFF", 60),
        ("YCbCr", "TIFF", 40),
        ("RGBA", "PNG", 0),
        ("RGBA", "WEBP", 60),
        ("RGBX", "TIFF", 0),
    ],
)
def test_other_colour_modes_become_rgb(mode: str, format: str, tolerance: int):
    """What editors and printers save is accepted, with its colours."""
    assert_upright(open_image(encoded(four_corners().convert(mode), format)), tolerance)


def test_sixteen_bit_greys_keep_their_brightness():
    """Pillow's own conversion would clip all above 255 to white."""
    grey = np.repeat(np.linspace(0, 65535, 48).astype(np.uint16)[None], 32, axis=0)

    for format in ("PNG", "TIFF"):
        image = open_image(encoded(Image.fromarray(grey), format))
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image)[..., 1], grey >> 8)


def test_sixteen_bit_colours_keep_their_brightness():
    """PNG's 16 bits a channel, which Pillow cannot write itself."""
    row = b"\x00" + struct.pack(">3H", 0xFFFF, 0x8000, 0x0000) * 4

    image = open_image(
        png(struct.pack(">IIBBBBB", 4, 2, 16, 2, 0, 0, 0), (b"IDAT", zlib.compress(row * 2)))
    )

    assert image.getpixel((0, 0)) == pytest.approx((255, 128, 0), abs=1)


@pytest.mark.parametrize(
    "values", [np.float32([[0, 0.5], [np.nan, 1]]), np.int32([[0, 5], [0, 10]])]
)
def test_greys_without_an_agreed_white_are_stretched(values: Any):
    """Scientific TIFFs: a picture that one can see, and no NaN on the way."""
    image = open_image(encoded(Image.fromarray(values), "TIFF"))

    assert np.asarray(image)[..., 0].tolist() == [[0, 127], [0, 255]]


def test_one_bit_is_black_and_white():
    """Scans and faxes."""
    ramp = Image.fromarray(np.uint8([[0, 255]])).convert("1")

    assert np.asarray(open_image(encoded(ramp, "PNG")))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_stands_before_white(mode: str):
    """The hidden colour of a transparent pixel is arbitrary and must not show."""
    layer = Image.new("RGBA", (4, 1), (0, 0, 0, 0))
    layer.putpixel((3, 0), (0, 0, 0, 255))

    image = open_image(encoded(layer.convert(mode), "PNG"))

    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert image.getpixel((3, 0)) == (0, 0, 0)


def test_a_palette_entry_can_be_transparent():
    """The old way of PNG: one index means nothing is there."""
    image = Image.new("P", (4, 2), 1)
    image.putpalette([10, 10, 10, 200, 0, 0])
    image.putpixel((0, 0), 0)

    opened = open_image(encoded(image, "PNG", transparency=0))

    assert opened.getpixel((0, 0)) == (255, 255, 255)
    assert opened.getpixel((3, 1)) == (200, 0, 0)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_an_animation_gives_its_first_frame(format: str):
    """One request, one picture."""
    rest = [Image.new("RGB", (48, 32), c) for c in ("white", "black")]

    assert_upright(open_image(encoded(four_corners(), format, save_all=True, append_images=rest)))


def test_a_phones_jpeg_with_a_second_picture_inside_is_a_jpeg():
    """Telephones store depth and portrait variants as MPO."""
    data = encoded(four_corners(), "MPO", save_all=True, append_images=[four_corners()])

    assert_upright(open_image(data))


@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_cut_in_half_is_told_to_be_damaged(format: str):
    """A broken upload is the client's to mend."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    data = encoded(noise, format)

    with pytest.raises(ImageUnreadable, match=r"damaged"):
        open_image(data[: len(data) // 2])


def test_no_bytes_are_told_as_such():
    """The commonest mistake of a script."""
    with pytest.raises(ImageUnreadable, match=r"the image is empty \(0 bytes\)"):
        open_image(b"")


@pytest.mark.parametrize(
    "data",
    [b"hello, world", b"%PDF-1.7", b"\x00" * 4096, b"<svg xmlns='http://www.w3.org/2000/svg'/>"],
)
def test_what_is_no_picture_is_told_what_would_be(data: bytes):
    """The message lists what is accepted."""
    with pytest.raises(ImageUnreadable, match="accepted: JPEG, PNG, WEBP, BMP, TIFF, AVIF"):
        open_image(data)


@pytest.mark.parametrize("format", ["GIF", "PPM", "ICO", "TGA", "PCX"])
def test_formats_that_are_not_listed_are_refused(format: str):
    """Every further decoder is a further way in for an attacker."""
    with pytest.raises(ImageUnreadable, match="not an image"):
        open_image(encoded(four_corners(), format))


def test_a_bomb_is_refused_by_its_header():
    """A few bytes may announce gigabytes; there are no pixel data here at all to decode."""
    bomb = png(struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0), (b"IDAT", b""))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageTooLarge, match="10,000,000,000 pixels; the limit is 50,000,000"):
            open_image(bomb)


@pytest.mark.parametrize("format", FORMATS)
def test_the_pixel_limit_is_exact_in_every_format(format: str):
    """At the limit a picture is accepted, one pixel above it is not."""
    data = encoded(four_corners(), format)

    open_image(data, max_pixels=48 * 32)
    with pytest.raises(ImageTooLarge, match="1,536 pixels; the limit is 1,535"):
        open_image(data, max_pixels=48 * 32 - 1)


def test_metadata_that_unpacks_to_much_is_refused():
    """A compressed text chunk is a bomb beside the pixels."""
    text = b"Comment\x00\x00" + zlib.compress(b"a" * 100_000_000)
    ihdr = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)

    with pytest.raises(ImageUnreadable):
        open_image(png(ihdr, (b"zTXt", text), (b"IDAT", zlib.compress(bytes(4)))))


SAMPLES = {format: encoded(four_corners(), format) for format in FORMATS} | {
    "animated": encoded(
        four_corners(), "WEBP", save_all=True, append_images=[four_corners().rotate(180)]
    ),
    "deflated": encoded(four_corners(), "TIFF", compression="tiff_adobe_deflate"),
    "palette": encoded(four_corners().convert("P"), "PNG", transparency=0),
    "exif": encoded(
        four_corners(), "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08" + bytes(30)
    ),
    "progressive": encoded(four_corners(), "JPEG", progressive=True),
}


@settings(max_examples=300, deadline=None)
@given(
    sample=st.sampled_from(sorted(SAMPLES)),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=6),
    keep=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_damaged_bytes_give_a_picture_or_one_of_our_errors(
    sample: str, flips: list[tuple[float, int]], keep: float
):
    """Whatever a decoder stumbles over, a caller sees two exceptions only."""
    data = bytearray(SAMPLES[sample])
    for where, bits in flips:
        data[int(where * len(data))] ^= bits

    try:
        image = open_image(bytes(data[: int(keep * len(data))]), max_pixels=1_000_000)
    except (ImageUnreadable, ImageTooLarge) as fault:
        assert str(fault)
    else:
        assert image.mode == "RGB" and image.width * image.height <= 1_000_000
        np.asarray(image)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_fault_of_ours(data: bytes):
    """Nothing but our error may leave the door."""
    with pytest.raises(ImageUnreadable):
        open_image(data)


def test_a_file_is_read_and_its_faults_name_it(tmp_path: Path):
    """Of ten thousand files the user must find the broken one; the folder is nobody's business."""
    (tmp_path / "good.png").write_bytes(encoded(four_corners(), "PNG"))
    (tmp_path / "bad.png").write_bytes(b"no")

    assert_upright(read_image(tmp_path / "good.png"))
    for name, fault in (("bad.png", "not an image"), ("gone.png", "No such file")):
        with pytest.raises(ImageUnreadable, match=f"^{name}: .*{fault}") as caught:
            read_image(tmp_path / name)
        assert str(tmp_path) not in str(caught.value)
    with pytest.raises(ImageUnreadable, match=r"good\.png: the image has 1,536 pixels"):
        read_image(tmp_path / "good.png", max_pixels=10)


@pytest.mark.parametrize("shrink", [2, 4, 8])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(160, 96), (161, 99), (9, 8), (7, 5)])
def test_a_jpeg_that_is_decoded_small_keeps_its_places(
    size: tuple[int, int], orientation: int, shrink: int
):
    """A fraction of the time, and every pixel still known to be where it was: to a tenth of one."""
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    ramps = np.stack([columns, rows, np.full_like(rows, 128)], -1).astype(np.uint8)
    stored = Image.fromarray(ramps)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, "JPEG", exif=exif, quality=100, subsampling=0)

    photograph = Photograph(data)
    whole, small = photograph.decode(), Photograph(data).decode(shrink)

    assert photograph.size == (whole.image.height, whole.image.width)
    assert (whole.shrink, whole.corner) == (1, (0, 0))
    assert small.shrink == (shrink if min(size) >= shrink else 1)
    # The mean of each whole block of the full picture, where the small one says it lies.
    full = np.asarray(whole.image, float)
    left, top = small.corner
    for (row, column), pixel in np.ndenumerate(np.asarray(small.image)[..., 0]):
        y, x = top + row * small.shrink, left + column * small.shrink
        block = full[max(y, 0) : y + small.shrink, max(x, 0) : x + small.shrink, 0]
        if block.size == small.shrink**2:
            assert abs(block.mean() - pixel) <= 2


@pytest.mark.parametrize("format", ["PNG", "WEBP", "BMP", "TIFF", "AVIF"])
def test_other_formats_are_decoded_whole(format: str):
    """Only JPEG knows how to be decoded small."""
    decoded = Photograph(encoded(four_corners(), format)).decode(4)

    assert_upright(decoded.image)
    assert (decoded.shrink, decoded.corner) == (1, (0, 0))


def test_a_jpeg_of_many_scans_is_refused_before_any_is_decoded():
    """Each goes over all pixels: 30 MB of them would hold a thread for hours."""
    buffer = io.BytesIO()
    Image.new("L", (64, 64), 90).save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    scan = whole[whole.rindex(b"\xff\xda") : -2]

    def repeated(scans: int) -> bytes:
        return whole[:-2] + scan * (scans - whole.count(b"\xff\xda")) + whole[-2:]

    assert open_image(repeated(MAX_SCANS)).size == (64, 64)
    with pytest.raises(ImageUnreadable, match="has 101 scans"):
        open_image(repeated(MAX_SCANS + 1))


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
def test_a_png_of_many_chunks_is_given_up(behind: bool, monkeypatch: pytest.MonkeyPatch):
    """Pillow reads every one in Python, before the pixels and behind them."""
    monkeypatch.setattr("model.images.BUDGET_S", 0.05)
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "PNG")
    whole = buffer.getvalue()
    kind = b"teSt"
    chunks = (bytes(4) + kind + struct.pack(">I", zlib.crc32(kind))) * 200_000
    at = whole.index(b"IEND" if behind else b"IDAT") - 4

    with pytest.raises(ImageUnreadable, match="core's time"):
        open_image(whole[:at] + chunks + whole[at:])
    assert open_image(whole).size == (8, 8)


@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
@pytest.mark.parametrize("tag", [273, 324], ids=["strips", "tiles"])
def test_a_tiff_of_many_pieces_is_refused_by_its_header(big: bool, tag: int):
    """Pillow makes an object of each before it reads one."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "TIFF", big_tiff=big)
    whole = buffer.getvalue()
    row = struct.pack("<HHQ", 273, 4, 1) if big else struct.pack("<HHI", 273, 4, 1)
    assert row in whole
    many = struct.pack("<HHQ" if big else "<HHI", tag, 4, MAX_PIECES + 1)

    assert open_image(whole).size == (8, 8)
    with pytest.raises(ImageUnreadable, match="65,537 strips or tiles"):
        open_image(whole.replace(row, many))


def test_a_tiff_of_a_codec_that_cameras_do_not_write_is_refused():
    """Less of libtiff is open to strangers."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "TIFF", compression="lzma")

    with pytest.raises(ImageUnreadable, match="compressed as lzma"):
        open_image(buffer.getvalue())


def test_a_jpeg_that_is_decoded_small_may_take_the_time_of_its_own_pixels(
    monkeypatch: pytest.MonkeyPatch,
):
    """All its bytes are read in any case: large honest ones must not be given up."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", quality=95, progressive=True)
    photograph = Photograph(buffer.getvalue())
    clock = itertools.count()  # a second at every look
    monkeypatch.setattr("model.images.time.thread_time", lambda: next(clock))
    monkeypatch.setattr("model.images.BUDGET_S", 0)
    monkeypatch.setattr("model.images.BUDGET_S_PER_PIXEL", 100 / 512**2)

    assert photograph.decode(8).image.size == (64, 64)
