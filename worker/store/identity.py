"""What tells jobs, and posts of jobs, apart."""

import hashlib
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from typing import Any


def new_id() -> str:
    """A UUID of version 7 (RFC 9562, 5.7 and 6.2 method 3): text order is the order of making."""
    ns = time.time_ns()
    below_ms = (ns % 1_000_000) * 4096 // 1_000_000
    bits = (ns // 1_000_000) << 80 | 0x7 << 76 | below_ms << 64 | 0b10 << 62
    return str(uuid.UUID(int=bits | secrets.randbits(62)))


def body_sha256(kind: str, config: Mapping[str, Any]) -> str:
    """The same for the same kind and config, in whatever order its keys were posted."""
    body = json.dumps({"kind": kind, "config": config}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()
