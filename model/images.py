"""From bytes that a stranger may have sent to an upright RGB picture.

The header is looked at before a pixel is decoded, only the listed formats are tried, and whatever
Pillow raises on the way becomes one of our two errors.
"""

import io
import time
import warnings
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from model.errors import ImageTooLarge, ImageUnreadable, PoseError
from model.tiff_header import pieces

FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF")
"""What is accepted, by Pillow's names; a JPEG with further pictures inside (MPO) is a JPEG."""
MAX_BYTES: Final = 256 << 20
"""Of one picture's file, where it is read from a disk."""
MAX_PIXELS: Final = 50_000_000
MAX_SCANS: Final = 100
"""Of a JPEG: each goes over all its pixels. Encoders write about ten; libtiff's bound is 100."""
MAX_PIECES: Final = 2**16
"""Strips or tiles of a TIFF."""
BUDGET_S: Final = 0.5
BUDGET_S_PER_PIXEL: Final = 1e-7
"""What of a core's time a file may take, with as much again for opening it. The slowest honest
file that we know, noise in a progressive JPEG, takes a third of it."""

# Pillow would warn at a limit of its own before we see the size; `open_image` replaces that check.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns about odd metadata in words that hold the file's numbers: each would be logged anew.
warnings.filterwarnings("ignore", module=r"PIL\.")

_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture of an EXIF orientation (Exif 2.3, tag 274) upright."""
_LYING: Final = (5, 6, 7, 8)
"""Width and height change places."""
_FROM_RIGHT: Final = (2, 3, 6, 7)
"""The stored picture's first pixel lies at the upright one's right."""
_FROM_BELOW: Final = (3, 4, 7, 8)
_BEHIND_ALPHA: Final = (255, 255, 255)
_START_OF_SCAN: Final = b"\xff\xda"
_TIFF_CODECS: Final = (
    "raw",
    "packbits",
    "tiff_lzw",
    "tiff_deflate",
    "tiff_adobe_deflate",
    "tiff_jpeg",
    "jpeg",
    "tiff_ccitt",
    "group3",
    "group4",
)
"""What cameras and scanners write, by Pillow's names; libtiff's others are hardly ever tried."""


class Photograph:
    """A picture of which the size is known, and a JPEG's pixels are not decoded yet."""

    def __init__(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> None:
        """Raises ImageTooLarge when the header tells of more than `max_pixels` (nothing is decoded
        then), ImageUnreadable when the bytes are not a picture of `FORMATS` or are damaged.
        """
        if not data:
            raise ImageUnreadable("the image is empty (0 bytes)")
        strips = pieces(data)
        if strips > MAX_PIECES:
            raise ImageUnreadable(
                f"the TIFF has {strips:,} strips or tiles; accepted: at most {MAX_PIECES:,}"
            )
        self._file = _Rationed(data)
        # Damaged files make Pillow raise about anything (OSError, SyntaxError, ValueError,
        # EOFError, struct.error, zlib.error, KeyError, MemoryError, …), hence the wide nets.
        try:
            self._image = Image.open(self._file, formats=FORMATS)
        except _TooMuchWork as fault:
            raise ImageUnreadable(f"the {len(data):,} bytes {fault}") from None
        except Exception as fault:
            accepted = ", ".join(FORMATS)
            raise ImageUnreadable(
                f"the {len(data):,} bytes are not an image, or one damaged at its start; "
                f"accepted: {accepted}"
            ) from fault
        pixels = self._image.width * self._image.height
        if pixels > max_pixels:
            raise ImageTooLarge(pixels, max_pixels)
        self._stored = self._image.size
        self._named = (
            f"the {self._image.format} image of {self._stored[0]} × {self._stored[1]} pixels"
        )
        self._refuse_odd(data)
        # Other formats may tell their orientation, or that they are damaged, at their end only.
        self._drafts = isinstance(self._image, JpegImageFile)
        if not self._drafts:
            self._load()
        self._orientation = _orientation(self._image)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the upright picture, in its own pixels."""
        width, height = self._stored if self._drafts else self._image.size
        return (width, height) if self._orientation in _LYING else (height, width)

    def decode(self, shrink: int = 1) -> "Upright":
        """RGB, upright by its EXIF, without metadata.

        The first frame of an animation; palettes, CMYK and 16 bits become 8-bit RGB; what is
        transparent stands before white. shrink: 1, 2, 4 or 8; a JPEG is decoded with so many
        pixels averaged each way, in a fraction of the time; other formats come whole.

        Raises ImageUnreadable when it is damaged or cut short.
        """
        width, height = self._stored
        small = (width // shrink, height // shrink)
        if not (self._drafts and shrink > 1 and all(small) and self._image.draft(None, small)):
            shrink = 1
        self._load()
        try:
            upright = _to_rgb(self._image)
            turn = _UPRIGHT.get(self._orientation)
            if turn is not None:
                upright = upright.transpose(turn)
        except Exception as fault:
            raise ImageUnreadable(f"{self._named} is damaged or cut short") from fault
        # Else the next who looks for an orientation would turn it again.
        upright.info.clear()
        # The last block of a shrunk row may be a part; turned round, it comes first.
        height, width = self.size
        left = width - shrink * upright.width if self._orientation in _FROM_RIGHT else 0
        top = height - shrink * upright.height if self._orientation in _FROM_BELOW else 0
        return Upright(upright, shrink, (left, top))

    def _refuse_odd(self, data: bytes) -> None:
        """What costs the decoder much more than its pixels and bytes let one expect."""
        if isinstance(self._image, JpegImageFile):
            # Among the coefficients 0xFF is never followed by this; a thumbnail has a few more.
            scans = data.count(_START_OF_SCAN)
            if scans > MAX_SCANS:
                raise ImageUnreadable(
                    f"{self._named} has {scans:,} scans; accepted: at most {MAX_SCANS}"
                )
        elif self._image.format == "TIFF":
            codec = str(self._image.info.get("compression", "raw"))
            if codec not in _TIFF_CODECS:
                raise ImageUnreadable(
                    f"{self._named} is compressed as {codec}; accepted: {', '.join(_TIFF_CODECS)}"
                )

    def _load(self) -> None:
        width, height = self._stored  # a JPEG that is decoded small is read whole
        self._file.ration(BUDGET_S + BUDGET_S_PER_PIXEL * width * height)
        try:
            self._image.load()
        except _TooMuchWork as fault:
            raise ImageUnreadable(f"{self._named} {fault}") from None
        except Exception as fault:
            raise ImageUnreadable(f"{self._named} is damaged or cut short") from fault


class _TooMuchWork(Exception):
    """Its words follow a name for the file."""


class _Rationed(io.BytesIO):
    """A file that cannot be read any more once its reader has worked for too long.

    Formats of many small pieces, as a PNG of a million chunks, are read piece by piece. What counts
    is the thread's own time: a busy machine spoils no photograph.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.ration(BUDGET_S)

    def ration(self, seconds: float) -> None:
        """From now on, for the thread that calls."""
        self._seconds, self._until = seconds, time.thread_time() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        self._check()
        return super().read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._check()
        return super().seek(offset, whence)

    def _check(self) -> None:
        if time.thread_time() > self._until:
            raise _TooMuchWork(f"took more than {self._seconds:.1f} s of a core's time to read")


class Upright(NamedTuple):
    """Decoded pixels, each the mean of `shrink` × `shrink` of the picture's.

    Pixel (i, j) covers the picture's from left + shrink·i, top + shrink·j; corner: (left, top),
    which is below zero where a turned picture's first block is a part.
    """

    image: Image.Image
    shrink: int
    corner: tuple[int, int]


def open_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decodes a picture whole; see `Photograph`. Raises ImageTooLarge, ImageUnreadable."""
    return Photograph(data, max_pixels=max_pixels).decode().image


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """`open_image` for a file.

    Raises ImageUnreadable, with the file's name, when it cannot be read, decoded or is too large.
    """
    try:
        return open_image(path.read_bytes(), max_pixels=max_pixels)
    except OSError as fault:
        raise ImageUnreadable(f"{path.name}: {fault.strerror or 'cannot be read'}") from fault
    except PoseError as fault:
        raise ImageUnreadable(f"{path.name}: {fault}") from fault


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return _stretched(image).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        composed = Image.new("RGB", image.size, _BEHIND_ALPHA)
        composed.paste(layer, mask=layer.getchannel("A"))
        return composed
    return image if image.mode == "RGB" else image.convert("RGB")


def _stretched(image: Image.Image) -> Image.Image:
    """32-bit greys, which have no agreed white: from their darkest to their brightest."""
    grey = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0)
    low, high = float(grey.min()), float(grey.max())
    return Image.fromarray(((grey - low) * (255 / max(high - low, 1e-9))).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1, upright, where there is none or the EXIF block is damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a picture is worth more than its metadata
        return 1
