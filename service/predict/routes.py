"""POST /predict."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from model.errors import Fault
from service.context import Context, context
from service.errors import RequestInvalid
from service.predict.admission import TIMEOUT_PARAMETER
from service.predict.answers import PICTURES, as_answer, as_answers, as_coco, as_picture
from service.predict.body import read_request
from service.predict.boxes import parse_boxes
from service.predict.models import Served
from service.predict.pipeline import Wish, find_poses
from service.predict.presence import while_present
from service.predict.schemas import Answer, Answers, CocoResult, Parameters
from service.problems import problems


class _Direct(APIRoute):
    """Calls its endpoint with the request and nothing else: FastAPI describes it in /docs, but has
    no parameter to look for, which would take a tenth of the time that serving adds to a model.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


router = APIRouter(tags=["predict"], route_class=_Direct)

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
                            "description": "JPEG, PNG, WebP, BMP, TIFF or AVIF; there may be "
                            "several",
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
    ]
    + [TIMEOUT_PARAMETER],
}


@router.post(
    "/predict",
    summary="Find the joints of the people on a photograph, or on several",
    response_model=Answer | Answers | list[CocoResult],
    responses={
        200: {
            "content": {"image/png": _BYTES, "image/webp": _BYTES},
            "description": "The poses, or their picture",
        },
        **problems(400, 404, 409, 413, 415, 422, 429, 503, 504),
    },
    openapi_extra=_OPENAPI,
)
async def predict(request: Request) -> Response:
    """The image is a form's file `image`, or the whole body; a form may hold several.

        curl -F image=@photo.jpg localhost:8000/predict
        curl -F image=@photo.jpg -F 'boxes=[[40,12,180,420]]' localhost:8000/predict
        curl --data-binary @photo.jpg 'localhost:8000/predict?format=png' -o drawn.png

    Coordinates are pixels of the upright image, centres at integers. `X-Timeout-Ms` says how long
    the client waits; what takes longer is dropped.
    """
    began = time.perf_counter()
    parts = await context(request)
    async with parts.admission.place(request, parts.settings.deadline_s):
        images, parameters = await read_request(request, most_images=parts.settings.max_images)
        return await while_present(request, _answer(parts, images, parameters, began))


async def _answer(
    parts: Context, images: list[bytes], parameters: Parameters, began: float
) -> Response:
    boxes = parse_boxes(parameters.boxes, len(images), most=parts.settings.max_boxes)
    drawn = parameters.format in PICTURES
    if drawn and len(images) > 1:
        raise RequestInvalid(
            Fault("format", f"{parameters.format} of {len(images)} images", "json or coco, or one")
        )
    by = await _who(parts, parameters)
    wish = Wish(by, parameters.flip_test, drawn, parts.settings.max_pixels)
    found = await find_poses(images, boxes, wish, parts.photographs)
    total_s = time.perf_counter() - began
    parts.metrics.answered(by, [one.spent for one in found], total_s)
    for photograph in found:
        parts.tracing.stages(photograph.spent, photograph.ended)
    if drawn:
        return await asyncio.get_running_loop().run_in_executor(
            parts.photographs, as_picture, found[0], by, parameters.format
        )
    if parameters.format == "coco":
        return as_coco(found)
    one = len(found) == 1
    answer = (
        as_answer(found[0], by, total_s=total_s) if one else as_answers(found, by, total_s=total_s)
    )
    return Response(answer.model_dump_json(), media_type="application/json")


async def _who(parts: Context, parameters: Parameters) -> Sequence[Served]:
    """The student that is asked for, or all of its run."""
    models = parts.models
    if parameters.model is None:
        served = parts.degrader.choose() if parts.degrader else models.production()
        if served is not models.production():
            parts.metrics.degraded(served)
    else:
        served = await to_thread.run_sync(models.get, parameters.model)
    if not parameters.ensemble:
        return [served]
    branches = await to_thread.run_sync(models.branches, served)
    if len(branches) == 1:
        found = f"of {served.name}:{served.version}'s run no other branch is registered"
        accepted = f"POST /models/{served.name}/versions with the job and a branch"
        raise RequestInvalid(Fault("ensemble", found, accepted))
    return branches
