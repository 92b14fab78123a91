"""POST /predict."""

import time
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response

from model.geometry import Box
from service.context import Context, context
from service.predict.body import read_request
from service.predict.boxes import parse_boxes
from service.predict.pipeline import as_answer, as_png, find_poses
from service.predict.schemas import Answer, Parameters
from service.problems import problems

router = APIRouter(tags=["predict"])

_PROPERTIES: Final = Parameters.model_json_schema()["properties"]
_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_OPENAPI: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {
                            "type": "string",
                            "format": "binary",
                            "description": "JPEG, PNG, WebP, BMP, TIFF or AVIF",
                        },
                        **_PROPERTIES,
                    },
                }
            },
            "image/*": _BYTES,
            "application/octet-stream": _BYTES,
        },
    },
    "parameters": [
        {
            "name": name,
            "in": "query",
            "description": "as in the form; for a body that is the image",
            "schema": {k: v for k, v in schema.items() if k != "description"},
        }
        for name, schema in _PROPERTIES.items()
    ],
}


@router.post(
    "/predict",
    summary="Find the joints of the people on a photograph",
    response_model=Answer,
    responses={
        200: {"content": {"image/png": _BYTES}, "description": "The poses, or their picture"},
        **problems(400, 404, 409, 413, 415, 422, 503),
    },
    openapi_extra=_OPENAPI,
)
async def predict(request: Request, parts: Annotated[Context, Depends(context)]) -> Response:
    """The image is a form's file `image`, or the whole body.

        curl -F image=@photo.jpg localhost:8000/predict
        curl -F image=@photo.jpg -F 'boxes=[[40,12,180,420]]' localhost:8000/predict
        curl --data-binary @photo.jpg 'localhost:8000/predict?format=image' -o drawn.png

    Coordinates are pixels of the upright image, centres at integers.
    """
    began = time.perf_counter()
    image, parameters = await read_request(request)
    boxes = None
    if parameters.boxes is not None:
        boxes = parse_boxes(parameters.boxes, most=parts.settings.max_boxes)

    def work() -> Response:
        return _respond(parts, image, parameters, boxes, began)

    return await to_thread.run_sync(work, limiter=parts.photographs)


def _respond(
    parts: Context, image: bytes, parameters: Parameters, boxes: list[Box] | None, began: float
) -> Response:
    """All that would hold up the event loop; runs in a thread."""
    found = find_poses(
        image,
        boxes,
        parts.models.get(parameters.model),
        flip_test=parameters.flip_test,
        max_pixels=parts.settings.max_pixels,
    )
    if parameters.format == "image":
        served = found.served
        named = f"{served.name}:{served.version}:{served.predictor.card.branch}"
        return Response(as_png(found), media_type="image/png", headers={"X-Okdhp-Model": named})
    answer = as_answer(found, total_ms=(time.perf_counter() - began) * 1e3)
    return Response(answer.model_dump_json(), media_type="application/json")
