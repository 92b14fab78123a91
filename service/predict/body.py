"""A /predict request's image and parameters, however a client sends them.

Either a multipart form with the file `image`, or the image's bytes as the body. Parameters stand
in the form or in the query. The body's declared type is not trusted for more than this choice.
"""

import difflib
from typing import Final

from starlette.datastructures import UploadFile
from starlette.requests import Request

from model.config import validated
from model.errors import ConfigError, Fault
from service.errors import MediaTypeUnsupported, RequestInvalid
from service.predict.schemas import Parameters

_FORM: Final = "multipart/form-data"
# curl's --data-binary says urlencoded of whatever it sends, and some clients say nothing.
_RAW: Final = ("image/", "application/octet-stream", "application/x-www-form-urlencoded")
_NAMES: Final = tuple(Parameters.model_fields)
_CURL: Final = "with curl: -F image=@photo.jpg"
_TEXT_BYTES: Final = 256 * 1024


async def read_request(request: Request, *, most_images: int) -> tuple[list[bytes], Parameters]:
    """The images' bytes, not looked at yet, one or more, and the checked parameters.

    Raises RequestInvalid, and MediaTypeUnsupported for a body of another kind.
    """
    pairs = list(request.query_params.multi_items())
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == _FORM:
        images, fields = await _read_form(request, most_images)
        pairs += fields
        accepted = ("image", *_NAMES)
    elif not media_type or media_type.startswith(_RAW):
        images = [await request.body()]
        accepted = _NAMES
    else:
        raise MediaTypeUnsupported(
            f"the body is {media_type}; accepted: a form ({_FORM}) with the file `image`, or the "
            f"image's bytes as image/* or application/octet-stream; {_CURL}"
        )
    return images, _checked(pairs, accepted)


async def _read_form(request: Request, most: int) -> tuple[list[bytes], list[tuple[str, str]]]:
    images: list[bytes] = []
    fields: list[tuple[str, str]] = []
    async with request.form(max_files=most + 8, max_fields=16, max_part_size=_TEXT_BYTES) as form:
        for name, value in form.multi_items():
            if name == "image":
                if not isinstance(value, UploadFile):
                    raise RequestInvalid(Fault("image", "is text", f"a file; {_CURL}"))
                images.append(await value.read())
            elif isinstance(value, UploadFile):  # curl's -F boxes=@boxes.json
                text = await value.read(_TEXT_BYTES)
                fields.append((name, text.decode("utf-8", "replace")))
            else:
                fields.append((name, value))
    if not images:
        unknown = _unknown(fields, ("image", *_NAMES))  # most likely the image's misspelt name
        raise RequestInvalid(*unknown, Fault("image", "is missing", f"one file or more; {_CURL}"))
    if len(images) > most:
        raise RequestInvalid(Fault("image", f"was sent {len(images)} times", f"at most {most}"))
    return images, fields


def _checked(pairs: list[tuple[str, str]], accepted: tuple[str, ...]) -> Parameters:
    faults = _unknown(pairs, accepted)
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            faults.append(Fault(name, "was given twice", "once, in the form or in the query"))
        given[name] = value
    if faults:
        raise RequestInvalid(*faults)
    try:
        parameters: Parameters = validated(Parameters, given)
    except ConfigError as error:
        raise RequestInvalid(*error.faults) from None
    return parameters


def _unknown(pairs: list[tuple[str, str]], accepted: tuple[str, ...]) -> list[Fault]:
    return [
        Fault(
            name[:80],
            "unknown parameter",
            ", ".join(accepted),
            next(iter(difflib.get_close_matches(name, accepted, n=1)), ""),
        )
        for name, _ in pairs
        if name not in _NAMES
    ]
