"""Where an error becomes a status: RFC 9457 problem documents, whatever went wrong.

`STATUS` is the only map from errors to statuses. A problem's `type` is stable: programs may compare
it. No document holds a path of the server or a stack trace.
"""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final, NamedTuple, get_args

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy.exc import DataError, OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from model import errors as model_errors
from model.config import validated
from model.errors import ConfigError, Fault, PoseError
from worker import errors as worker_errors

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:okdhp:problem:"


class RequestInvalid(PoseError):
    """A request's parameters are not what the route takes."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class MediaTypeUnsupported(PoseError):
    """The body is of a kind that the route does not take."""


class NotReady(PoseError):
    """No model is loaded yet, or the runtime is not the one that was asked for."""


class Kind(NamedTuple):
    """What a problem document says about its kind."""

    status: int
    slug: str  # of the `type`
    title: str


STATUS: Final[Mapping[type[PoseError], Kind]] = {
    model_errors.ImageUnreadable: Kind(415, "image-unreadable", "The image cannot be read"),
    model_errors.ImageTooLarge: Kind(413, "image-too-large", "The image has too many pixels"),
    model_errors.BoxInvalid: Kind(422, "box-invalid", "A box is not usable"),
    model_errors.DatasetError: Kind(422, "dataset-invalid", "The data set is not usable"),
    model_errors.ConfigError: Kind(422, "config-invalid", "The configuration is not valid"),
    model_errors.ModelUnusable: Kind(409, "model-unusable", "The model cannot run here"),
    model_errors.CheckpointUnusable: Kind(409, "checkpoint-unusable", "The checkpoint is unusable"),
    model_errors.TrainingDiverged: Kind(409, "training-diverged", "The training diverged"),
    worker_errors.JobNotFound: Kind(404, "job-unknown", "There is no such job"),
    worker_errors.ArtifactNotFound: Kind(404, "artifact-unknown", "The job has no such file"),
    worker_errors.ModelNotFound: Kind(404, "model-unknown", "There is no such model"),
    worker_errors.VersionNotFound: Kind(404, "version-unknown", "The model has no such version"),
    worker_errors.DatasetNotFound: Kind(404, "dataset-unknown", "There is no such data set"),
    worker_errors.KindUnknown: Kind(422, "job-kind-unknown", "There is no such kind of job"),
    worker_errors.NameInvalid: Kind(422, "name-invalid", "The name is not accepted"),
    worker_errors.ActionRefused: Kind(409, "action-refused", "The job's state forbids it"),
    worker_errors.TransitionRefused: Kind(409, "action-refused", "The job's state forbids it"),
    worker_errors.ClaimRefused: Kind(409, "action-refused", "The job's state forbids it"),
    worker_errors.LeaseLost: Kind(409, "lease-lost", "The job belongs to another worker"),
    worker_errors.IdempotencyConflict: Kind(
        409, "idempotency-conflict", "The key belongs to another request"
    ),
    worker_errors.DatasetExists: Kind(409, "dataset-exists", "The name is taken"),
    worker_errors.ArtifactUnusable: Kind(410, "artifact-gone", "The stored file is not usable"),
    worker_errors.NotInstalled: Kind(409, "not-installed", "Packages are missing here"),
    worker_errors.StoreUnusable: Kind(503, "store-unusable", "The store cannot be used now"),
    worker_errors.BrokerUnusable: Kind(503, "broker-unusable", "The broker cannot be used now"),
    RequestInvalid: Kind(422, "request-invalid", "The request is not valid"),
    MediaTypeUnsupported: Kind(415, "media-type-unsupported", "The body is of an unknown kind"),
    NotReady: Kind(503, "not-ready", "Not ready to answer yet"),
}

FRAMEWORK: Final[Mapping[int, Kind]] = {
    400: Kind(400, "request-malformed", "The request cannot be parsed"),
    404: Kind(404, "route-unknown", "There is nothing at this address"),
    405: Kind(405, "method-not-allowed", "The address does not take this method"),
    413: Kind(413, "body-too-large", "The body is too large"),
}
INTERNAL: Final = Kind(500, "internal", "The server made a mistake")


_MOST_FAULTS: Final = 50
_LONGEST: Final = 4_000


def _plain(text: str) -> str:
    """Text that UTF-8 can carry (JSON may bring half surrogates) and a person can read."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


Text = Annotated[str, BeforeValidator(_plain)]


class FaultDocument(BaseModel):
    """One thing that was wrong."""

    where: Text = Field(description="path of the key or parameter", examples=["config.training.lr"])
    problem: Text = Field(description="what was found", examples=["unknown key"])
    accepted: Text = Field("", description="what would be accepted")
    nearest: Text = Field("", description="the right name that is spelt most like it")


class ProblemDocument(BaseModel):
    """RFC 9457: what went wrong, for people and programs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": TYPE_PREFIX + "image-unreadable",
                    "title": "The image cannot be read",
                    "status": 415,
                    "detail": "the bytes are not a picture of a kind that we read",
                }
            ]
        }
    )

    type: str = Field(description="stable name of the kind of problem")
    title: str
    status: int
    detail: Text = Field(description="what was wrong with this request, and what is accepted")
    errors: list[FaultDocument] | None = Field(
        None, description=f"the faults, where there may be several; at most {_MOST_FAULTS}"
    )


def problem(
    kind: Kind,
    detail: str,
    *,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document as a response."""
    shown = [FaultDocument.model_validate(f, from_attributes=True) for f in faults[:_MOST_FAULTS]]
    document = ProblemDocument(
        type=TYPE_PREFIX + kind.slug,
        title=kind.title,
        status=kind.status,
        detail=detail,
        errors=shown or None,
    )
    return JSONResponse(
        document.model_dump(exclude_none=True),
        kind.status,
        media_type=MEDIA_TYPE,
        headers={"X-Content-Type-Options": "nosniff", **(headers or {})},
    )


def kind_of(error: PoseError) -> Kind:
    """The entry of `STATUS` of an error's class, or of its nearest base there."""
    return next((STATUS[c] for c in type(error).__mro__ if c in STATUS), INTERNAL)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem documents that a route may answer with, for its description.

    `service.docs` gives them, and those that FastAPI adds by itself, their content.
    """
    return {status: {"description": HTTPStatus(status).phrase} for status in statuses}


def install(app: FastAPI) -> None:
    """Answers every error of `app` with a problem document."""
    app.add_exception_handler(PoseError, _on_pose_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(DataError, _on_data_error)
    app.add_exception_handler(OperationalError, _on_store_away)
    app.add_exception_handler(Exception, _on_bug)


async def _on_pose_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PoseError)
    kind = kind_of(error)
    if kind is INTERNAL:
        return await _on_bug(request, error)
    headers = {"Retry-After": "1"} if kind.status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return problem(kind, str(error), faults=_faults_of(error), headers=headers)


def _faults_of(error: PoseError) -> Sequence[Fault]:
    if isinstance(error, worker_errors.KindUnknown):
        accepted = ", ".join(error.known)
        return [Fault("kind", f"unknown job kind {error.kind!r}", accepted, error.nearest)]
    if isinstance(error, ConfigError | RequestInvalid):
        return error.faults
    return ()


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    invalid = RequestInvalid(*_request_faults(request, error))
    return problem(STATUS[RequestInvalid], str(invalid), faults=invalid.faults)


def _request_faults(request: Request, error: RequestValidationError) -> Sequence[Fault]:
    """FastAPI's findings in our words, with the nearest right key where the body is an object."""
    model = _body_model(request)
    try:
        if model is not None and isinstance(error.body, Mapping):
            validated(model, error.body)
        return [_fault(found) for found in error.errors()]
    except ConfigError as again:
        return again.faults
    except RecursionError:  # the values are shown, and these are nested as deep as the stack
        return [Fault("body", "is nested too deeply")]


def _body_model(request: Request) -> type[BaseModel] | None:
    """What the route declares its body to be, as `JobPost` or `PromotionPost | None`."""
    field = getattr(request.scope.get("route"), "body_field", None)
    annotation = getattr(getattr(field, "field_info", None), "annotation", None)
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _fault(found: Any) -> Fault:
    place = ".".join(str(part) for part in found["loc"])
    if found["type"] == "json_invalid":
        return Fault("body", f"is not JSON: {found['ctx']['error']}", "a JSON object")
    if found["type"] == "missing":
        return Fault(place, "is missing")
    if found["loc"] == ("body",) and isinstance(found.get("input"), bytes):
        accepted = "JSON with the header Content-Type: application/json; with curl: --json '{…}'"
        return Fault("body", "is not declared to be JSON", accepted)
    text = repr(found.get("input"))
    shown = text if len(text) <= 80 else text[:77] + "…"
    return Fault(place, f"found {shown}", found["msg"].removeprefix("Input should be "))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    kind = FRAMEWORK.get(status) or Kind(status, f"http-{status.value}", status.phrase)
    details = {
        404: f"nothing is at {request.url.path}; /docs lists what is",
        405: f"{request.url.path} does not take {request.method}",
    }
    detail = details.get(status, error.detail)
    return problem(kind, detail, headers=error.headers)


async def _on_disconnect(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it: the client has gone


async def _on_data_error(request: Request, error: Exception) -> Response:
    # PostgreSQL stores no NUL in text: whatever name or reason had one is not accepted.
    return problem(STATUS[RequestInvalid], "a text holds a character that cannot be stored")


async def _on_store_away(request: Request, error: Exception) -> Response:
    log.error("%s %s: the database is away", request.method, request.url.path, exc_info=error)
    kind = STATUS[worker_errors.StoreUnusable]
    return problem(kind, "the database does not answer", headers={"Retry-After": "5"})


async def _on_bug(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(INTERNAL, "this is a mistake of the server, which wrote it to its log")
