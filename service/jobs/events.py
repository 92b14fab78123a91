"""GET /jobs/{id}/events: a job as it happens, as server-sent events (WHATWG HTML, 9.2)."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Response
from sse_starlette import EventSourceResponse

from model.errors import Fault
from service.errors import RequestInvalid
from service.jobs.routes import JobId, Parts
from service.problems import problems
from worker.errors import JobNotFound
from worker.store import FINAL
from worker.store.events import standing

router = APIRouter(prefix="/jobs", tags=["jobs"])

_MOST: Final = 2**31 - 1
PING_S: Final = 15


@router.get(
    "/{job_id}/events",
    summary="Follow a job live",
    response_class=Response,
    responses={
        200: {
            "description": "server-sent events: `state`, `metrics`, `log`, `artifact`, `progress` "
            "and at last `end`",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "the job has ended, and nothing came after the event that was named"},
        **problems(404, 422),
    },
)
async def follow_job(
    job_id: JobId,
    parts: Parts,
    after: Annotated[int, Query(ge=0, le=_MOST, description="only events after this number")] = 0,
    last_event_id: Annotated[
        int, Header(ge=0, le=_MOST, description="the same, as an EventSource sends it")
    ] = 0,
) -> Response:
    """Every event has a number as its `id`: who asks again with the last one gets what came since,
    without a gap or a repeat. Only `progress`, how far the run is now, has none and is not kept.

    The stream ends with the job, by an event `end` with the job's state.
    """
    seq = max(after, last_event_id)  # an EventSource asks the same address again
    found = await asyncio.to_thread(standing, parts.stores.database, job_id)
    if found is None:
        raise JobNotFound(job_id)
    if seq > found.seq:
        where = "query.after" if after > last_event_id else "header.last-event-id"
        fault = Fault(where, f"job {job_id} has no event {seq}", f"0 to {found.seq}")
        raise RequestInvalid(fault)
    if found.state in FINAL and seq == found.seq:
        return Response(status_code=204)  # an EventSource asks no more
    # Nothing between us and the listener may keep what it should see at once.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(
        parts.hub.listen(job_id, seq, found), headers=headers, ping=PING_S, sep="\n"
    )
