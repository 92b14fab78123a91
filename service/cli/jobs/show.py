"""A job as text."""

from collections.abc import Iterator, Mapping
from typing import Any


def entry_line(job: Mapping[str, Any]) -> str:
    """One line of a list: id, kind, state, how far it is, priority, need, when it was posted."""
    columns = (f"{job['kind']:<9}", f"{job['state']:<10}", f"{_far(job):>9}")
    return "  ".join((job["id"], *columns, str(job["priority"]), f"{job['needs']:<3}", _time(job)))


def document_lines(job: Mapping[str, Any]) -> Iterator[str]:
    """All that a person asks of a job first."""
    yield entry_line(job)
    if job.get("notice"):
        yield f"note: {job['notice']}"
    if error := job["error"]:
        yield f"failed: {error['reason']}: {error['message']}"
    if best := job["metrics"]["best"]:
        score = f"{best['metric']} {best['score']:.1f}"
        yield f"best: {score} by {best['branch']} in epoch {best['epoch']}"
    for child in job["children"]:
        yield f"part {child['name']}: {child['state']} ({child['id']})"
    for artifact in job["artifacts"]:
        yield f"file {artifact['name']} ({artifact['bytes']:,} bytes)"
    for step in job["history"]:
        who = f" by {step['worker']}" if step["worker"] else ""
        yield f"{step['at'][:19]} {step['new']}{who}: {step['reason']}"
    yield f"possible: {', '.join(job['actions']) or 'nothing'}"


def _far(job: Mapping[str, Any]) -> str:
    progress = job["progress"]
    return f"{progress['epoch']}/{progress['epochs']}" if progress else "-"


def _time(job: Mapping[str, Any]) -> str:
    return str(job["created_at"])[:19].replace("T", " ")
