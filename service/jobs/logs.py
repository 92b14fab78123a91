"""GET /jobs/{id}/logs: the lines of a run's log, whole or in part."""

from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from model.errors import Fault
from service.errors import RequestInvalid
from service.jobs.routes import JobId, Parts
from service.problems import problems
from worker.errors import JobNotFound
from worker.store.events import log_lines, standing

router = APIRouter(prefix="/jobs", tags=["jobs"])

MOST_LINES: Final = 10_000
NEXT_LINE: Final = "X-Next-Line"


@router.get(
    "/{job_id}/logs",
    summary="Read a job's log",
    response_class=PlainTextResponse,
    responses={
        200: {
            "description": "lines of the log; of every attempt, the oldest first",
            "headers": {
                NEXT_LINE: {
                    "schema": {"type": "integer"},
                    "description": "`from` of the request for what comes after these lines",
                }
            },
        },
        **problems(404, 422),
    },
)
def read_log(
    job_id: JobId,
    parts: Parts,
    tail: Annotated[
        int | None, Query(ge=1, le=MOST_LINES, description="the last lines, so many")
    ] = None,
    first: Annotated[
        int | None, Query(alias="from", ge=1, le=2**31 - 1, description="the first line's number")
    ] = None,
    lines: Annotated[
        int | None, Query(ge=1, le=MOST_LINES, description="how many; by default as many as may be")
    ] = None,
) -> PlainTextResponse:
    """What the run's processes wrote, as far as a person reads: long lines are cut, and of a flood
    a line tells how much was left out. `log.txt` among the artifacts has all of it.

    Without parameters: from the first line on, at most 10,000.
    """
    if tail is not None and not (first is None and lines is None):
        raise RequestInvalid(Fault("query.tail", "is given beside another", "tail, or from, lines"))
    database = parts.stores.database
    found = standing(database, job_id)
    if found is None:
        raise JobNotFound(job_id)
    begin, count = first or 1, lines or MOST_LINES
    if tail is not None:
        begin, count = max(1, found.log_lines - tail + 1), tail
    read = log_lines(database, job_id, begin, count)
    return PlainTextResponse(
        "".join(f"{line}\n" for line in read),
        headers={NEXT_LINE: str(begin + len(read)), "Cache-Control": "no-store"},
    )
