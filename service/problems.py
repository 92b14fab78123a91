"""Problem documents (RFC 9457): what every error looks like from outside."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from model.errors import Fault
from service.errors import Kind

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:okdhp:problem:"

_REASON: Final = "okdhp.problem"
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
    request_id: str | None = Field(
        None, description="as in the header X-Request-Id and in the server's log"
    )


class ErrorDocument(BaseModel):
    """What the Open Inference Protocol makes of an error."""

    error: Text = Field(description="what was wrong with this request, and what is accepted")


class Problem(JSONResponse):
    """A problem document as a response, in the shape that the address's protocol wants."""

    def __init__(self, document: ProblemDocument, slug: str, headers: Mapping[str, str]) -> None:
        super().__init__(
            document.model_dump(exclude_none=True),
            document.status,
            media_type=MEDIA_TYPE,
            headers=headers,
        )
        self._document, self._slug = document, slug

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_REASON] = self._slug
        own = {k: v for k, v in self.headers.items() if k not in ("content-length", "content-type")}
        if speaks_v2(scope["path"].removeprefix(scope.get("root_path", ""))):
            content = ErrorDocument(error=self._document.detail).model_dump()
            media_type = JSONResponse.media_type
        else:
            request_id = scope.get("state", {}).get("request_id")
            document = self._document.model_copy(update={"request_id": request_id})
            content, media_type = document.model_dump(exclude_none=True), MEDIA_TYPE
        response = JSONResponse(content, self.status_code, own, media_type)
        await response(scope, receive, send)


def speaks_v2(path: str) -> bool:
    """Whether the address is of the Open Inference Protocol, whose errors are `ErrorDocument`s."""
    return path == "/v2" or path.startswith("/v2/")


def reason_of(scope: Scope) -> str | None:
    """The kind of the problem that a request was answered with, if any: its slug."""
    reason: str | None = scope.get(_REASON)
    return reason


def problem(
    kind: Kind,
    detail: str,
    *,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
    request_id: str | None = None,
) -> Response:
    """A problem document as a response.

    request_id: of what never becomes a request of the application; others bring their own.
    """
    shown = [FaultDocument.model_validate(f, from_attributes=True) for f in faults[:_MOST_FAULTS]]
    document = ProblemDocument(
        type=TYPE_PREFIX + kind.slug,
        title=kind.title,
        status=kind.status,
        detail=detail,
        errors=shown or None,
        request_id=request_id,
    )
    return Problem(
        document, kind.slug, headers={"X-Content-Type-Options": "nosniff", **(headers or {})}
    )


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem documents that a route may answer with, for its description.

    `service.docs` gives them, and those that FastAPI adds by itself, their content.
    """
    return {status: {"description": HTTPStatus(status).phrase} for status in statuses}
