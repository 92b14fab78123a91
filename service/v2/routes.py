"""/v2: health, metadata and inference of the Open Inference Protocol."""

import asyncio
import time
from importlib.metadata import version as version_of
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response

from model.predictor import KEYPOINTS, Card
from service.context import Context, context
from service.errors import MediaTypeUnsupported
from service.metrics.metrics import Spent
from service.predict.admission import TIMEOUT_PARAMETER
from service.predict.presence import while_present
from service.problems import problems
from service.v2 import schemas
from service.v2.tensors import IMAGE, JSON_LENGTH, outputs_of, read_infer, respond

router = APIRouter(prefix="/v2", tags=["open inference protocol"])
Parts = Annotated[Context, Depends(context)]

_MODEL: Final = "/models/{model}"
_VERSION: Final = "/models/{model}/versions/{version}"
_READY: Final = problems(404, 409, 410)
_INFER: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "model": schemas.InferResponse,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
            "description": f"The outputs; as bytes behind the JSON, {JSON_LENGTH} is its length",
        },
        **problems(400, 404, 409, 410, 413, 415, 429, 503, 504),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/InferRequest"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
        "parameters": [
            {
                "name": JSON_LENGTH,
                "in": "header",
                "description": "length of the JSON; the crops' bytes follow it",
                "schema": {"type": "integer", "minimum": 0},
            },
            TIMEOUT_PARAMETER,
        ],
    },
}


@router.get("", summary="Who answers")
async def server() -> schemas.ServerMetadata:
    """And which extensions of the protocol he speaks."""
    return schemas.ServerMetadata(
        name="okdhp", version=version_of("okdhp"), extensions=["binary_tensor_data"]
    )


@router.get("/health/live", summary="Whether the process lives")
async def live() -> schemas.Live:
    """As /healthz."""
    return schemas.Live(live=True)


@router.get("/health/ready", summary="Whether it can answer", responses=problems(503))
async def ready(parts: Parts) -> schemas.Ready:
    """As /readyz: 503 until the model in production is loaded."""
    parts.models.production()
    return schemas.Ready(ready=True)


@router.get(_MODEL, summary="What a model takes and gives", responses=problems(404))
def model_metadata(parts: Parts, model: str) -> schemas.ModelMetadata:
    """The tensors of the version that was promoted last, or of the newest where none was."""
    return _metadata(parts, model)


@router.get(_VERSION, summary="What a version takes and gives", responses=problems(404))
def version_metadata(parts: Parts, model: str, version: str) -> schemas.ModelMetadata:
    """The tensors of its ONNX file."""
    return _metadata(parts, f"{model}:{version}")


def _metadata(parts: Context, asked: str) -> schemas.ModelMetadata:
    registry = parts.stores.registry
    found = registry.resolve(asked)
    entry = next(entry for entry in registry.models() if entry.name == found.model)
    card = Card.from_tree(found.card)
    K = len(card.skeleton)
    return schemas.ModelMetadata(
        name=found.model,
        versions=[str(one.version) for one in reversed(entry.versions)],
        platform="onnxruntime_onnx",
        inputs=[schemas.TensorDocument(name=IMAGE, datatype="UINT8", shape=[-1, *card.size, 3])],
        outputs=[
            schemas.TensorDocument(
                name=name, datatype="FP32", shape=[-1, K, 3] if name == KEYPOINTS else [-1, K]
            )
            for name in outputs_of(tells_visible=card.tells_visible)
        ],
        parameters={
            "skeleton": card.skeleton.name,
            "joints": list(card.skeleton.joints),
            "variant": found.variant,
        },
    )


@router.get(f"{_MODEL}/ready", summary="Whether a model can answer", responses=_READY)
def model_ready(parts: Parts, model: str) -> schemas.ModelReady:
    """It is loaded if it is not yet."""
    return schemas.ModelReady(name=parts.models.get(model).name, ready=True)


@router.get(f"{_VERSION}/ready", summary="Whether a version can answer", responses=_READY)
def version_ready(parts: Parts, model: str, version: str) -> schemas.ModelReady:
    """It is loaded if it is not yet."""
    return schemas.ModelReady(name=parts.models.get(f"{model}:{version}").name, ready=True)


@router.post("/repository/index", summary="List models and versions")
def index(parts: Parts) -> list[schemas.IndexEntry]:
    """Every registered version; whatever is asked of one that is not in memory loads it."""
    loaded = parts.models.loaded()
    return [
        schemas.IndexEntry(
            name=version.model,
            version=str(version.version),
            state="READY" if (version.model, version.version) in loaded else "UNAVAILABLE",
            reason="" if (version.model, version.version) in loaded else "loaded when asked for",
        )
        for entry in parts.stores.registry.models()
        for version in reversed(entry.versions)
    ]


@router.post(f"{_MODEL}/infer", summary="Find the joints on crops", **_INFER)
async def infer(request: Request, parts: Parts, model: str) -> Response:
    """`image` holds people's crops as the model wants them, `keypoints` x, y in the crop's pixels
    and a score for each joint, `visible` how likely each is seen and not hidden, where the model
    tells it. Tensors are JSON or, much faster, bytes behind it (the binary
    tensor data extension). `/predict` takes whole photographs.
    """
    return await _infer(request, parts, model)


@router.post(f"{_VERSION}/infer", summary="Find the joints on crops, by a version", **_INFER)
async def version_infer(request: Request, parts: Parts, model: str, version: str) -> Response:
    """As for a model's default version."""
    return await _infer(request, parts, f"{model}:{version}")


async def _infer(request: Request, parts: Context, asked: str) -> Response:
    began = time.perf_counter()
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise MediaTypeUnsupported(f"the body is coded as {encoding[:40]!r}; accepted: as it is")
    async with parts.admission.place(request, parts.settings.deadline_s):
        body = await request.body()
        work = _answer(parts, asked, body, request.headers.get(JSON_LENGTH), began)
        return await while_present(request, work)


async def _answer(
    parts: Context, asked: str, body: bytes, json_length: str | None, began: float
) -> Response:
    served = await to_thread.run_sync(parts.models.get, asked)
    card, most = served.predictor.card, parts.settings.max_boxes
    outputs = outputs_of(tells_visible=card.tells_visible)
    tensors = await asyncio.get_running_loop().run_in_executor(
        parts.photographs,
        lambda: read_infer(body, json_length, card.size, most=most, outputs=outputs),
    )
    answer = served.batcher.submit(tensors.crops, flip_test=tensors.flip_test)
    parts.photographs.submit(served.batcher.work)
    inferred = await asyncio.wrap_future(answer)
    spent, ended = Spent(None, None, inferred.waited_s, inferred.ran_s), time.perf_counter()
    parts.metrics.answered([served], [spent], ended - began)
    parts.tracing.stages(spent, ended)
    return respond(tensors, served.name, served.version, inferred.keypoints)
