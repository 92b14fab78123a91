"""Every error that reaches the edge becomes a problem document, FastAPI's own as well.

No document holds a path of the server or a stack trace.
"""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, get_args

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import DataError, OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from model.config import validated
from model.errors import ConfigError, Fault, PoseError
from service.errors import FRAMEWORK, INTERNAL, STATUS, Kind, RequestInvalid, kind_of
from service.problems import problem
from worker.errors import KindUnknown, PromotionRefused, StoreUnusable

log = logging.getLogger(__name__)

_AGAIN: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
"""What may be tried again, in a second."""


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
    if kind is None:
        raise error
    headers = {"Retry-After": "1"} if kind.status in _AGAIN else None
    return problem(kind, str(error), faults=_faults_of(error), headers=headers)


def _faults_of(error: PoseError) -> Sequence[Fault]:
    if isinstance(error, KindUnknown):
        accepted = ", ".join(error.known)
        return [Fault("kind", f"unknown job kind {error.kind!r}", accepted, error.nearest)]
    if isinstance(error, ConfigError | RequestInvalid | PromotionRefused):
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
    kind = STATUS[StoreUnusable]
    return problem(kind, "the database does not answer", headers={"Retry-After": "5"})


async def _on_bug(request: Request, error: Exception) -> Response:
    # Starlette raises the error again when this is sent, and the server logs it with its trace.
    return mistake()


def mistake() -> Response:
    """What a client is told of a bug: nothing but that it is one."""
    return problem(INTERNAL, "this is a mistake of the server, which wrote it to its log")
