"""GET /metrics."""

from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response
from prometheus_client.exposition import choose_encoder

from service.context import Context, context

router = APIRouter(tags=["metrics"])

_TEXT: Final = {"schema": {"type": "string"}}


@router.get(
    "/metrics",
    summary="What Prometheus reads",
    response_class=Response,
    responses={200: {"content": {"text/plain": _TEXT, "application/openmetrics-text": _TEXT}}},
)
async def metrics(request: Request, parts: Annotated[Context, Depends(context)]) -> Response:
    """In Prometheus's text format, or OpenMetrics where it is asked for; docs/observability.md
    tells what each metric means.
    """
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    text = await to_thread.run_sync(encode, parts.metrics.registry)  # it asks the database
    return Response(text, headers={"Content-Type": media_type})
