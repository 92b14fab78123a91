"""The store's seconds since 1970 as what the API shows."""

from datetime import UTC, datetime
from typing import overload


@overload
def shown(seconds: float) -> datetime: ...
@overload
def shown(seconds: None) -> None: ...
def shown(seconds: float | None) -> datetime | None:
    """RFC 3339 with milliseconds, in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(round(seconds, 3), UTC)
