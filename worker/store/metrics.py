"""What `GET /jobs/{id}` shows as metrics, out of a run's events."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_SHOWN: Final = "pck@0.2"


def epoch_entry(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event's own fields, without those that every event has."""
    return {key: value for key, value in event.items() if key not in ("seq", "kind", "time")}


def summary(history: Sequence[dict[str, Any]], result: Mapping[str, Any] | None) -> dict[str, Any]:
    """{"latest": the last entry, "best", "history": one entry an epoch, oldest first}.

    `best` is {"epoch", "branch", "metric", "score"}: the finished run's own, chosen by the
    configured metric; before that the highest pck@0.2 of one branch in one epoch, and None as long
    as there is none. The ensemble does not count: it is not what is deployed.
    """
    best = (result or {}).get("best") or _best(history)
    return {
        "latest": history[-1] if history else None,
        "best": best,
        "history": list(history),
    }


def _best(history: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    values = [
        (metrics[_SHOWN], entry["epoch"], branch)
        for entry in history
        for branch, metrics in (entry.get("branches") or {}).items()
        if metrics.get(_SHOWN) is not None
    ]
    if not values:
        return None
    value, epoch, branch = max(values, key=lambda found: found[0])  # the earliest of equals
    return {"epoch": epoch, "branch": branch, "metric": _SHOWN, "score": value}
