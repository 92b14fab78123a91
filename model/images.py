"""From bytes that a stranger may have sent to an upright RGB picture.

The header is looked at before a pixel is decoded, only the listed formats are tried, and whatever
Pillow raises on the way becomes one of our two errors.
"""

import io
import warnings
from pathlib import Path
from typing import Final

import numpy as np
from PIL import ExifTags, Image

from model.errors import ImageTooLarge, ImageUnreadable, PoseError

FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF", "GIF")
"""What is accepted, by Pillow's names; a JPEG with further pictures inside (MPO) is a JPEG."""
MAX_PIXELS: Final = 50_000_000

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
_BEHIND_ALPHA: Final = (255, 255, 255)


def open_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decodes a picture: mode RGB, upright by its EXIF, without metadata.

    The first frame of an animation; palettes, CMYK and 16 bits become 8-bit RGB; what is
    transparent stands before white.

    Raises ImageTooLarge when the header tells of more than `max_pixels` (nothing is decoded then),
    ImageUnreadable when the bytes are not a picture of `FORMATS` or are damaged or cut short.
    """
    if not data:
        raise ImageUnreadable("the image is empty (0 bytes)")
    # Damaged files make Pillow raise about anything (OSError, SyntaxError, ValueError, EOFError,
    # struct.error, zlib.error, KeyError, MemoryError, …), hence the wide nets below.
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as fault:
        accepted = ", ".join(FORMATS)
        raise ImageUnreadable(
            f"the {len(data):,} bytes are not an image, or one damaged at its start; "
            f"accepted: {accepted}"
        ) from fault
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise ImageTooLarge(pixels, max_pixels)
    try:
        image.load()
        rgb = _to_rgb(image)
        turn = _UPRIGHT.get(_orientation(image))
        upright = rgb if turn is None else rgb.transpose(turn)
    except Exception as fault:
        raise ImageUnreadable(
            f"the {image.format} image of {image.width} × {image.height} pixels "
            "is damaged or cut short"
        ) from fault
    # Else the next who looks for an orientation would turn it again.
    upright.info.clear()
    return upright


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
