"""What is sent and measured wherever one photograph is enough."""

import io

from PIL import Image

from model.data.synthetic import draw_people


def photograph() -> bytes:
    """One person on a megapixel, as a JPEG of about 200 kB."""
    person = draw_people(1, seed=0, size_px=1000)[0]
    assert person.pixels is not None
    buffer = io.BytesIO()
    Image.fromarray(person.pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
