"""Telling whoever posted a job that it has ended: an HTTP POST to an address of theirs.

Only hosts that the operator named are ever asked, wherever their names lead: naming one is trust.
"""

import hashlib
import hmac
import json
import logging
from collections.abc import Collection
from typing import Final

import httpx

from model.errors import ConfigError, Fault
from worker.settings import WorkerSettings
from worker.store import Database
from worker.store.callbacks import Callback, forget, take_due

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 5.0
EVENT: Final = "X-OKDHP-Event"
SIGNATURE: Final = "X-OKDHP-Signature"


def check_callback(url: str, hosts: Collection[str]) -> None:
    """Raises ConfigError unless the address is of a host that the operator allowed.

    hosts: `name` for the usual ports of http and https, or `name:port`.
    """
    if (fault := _fault(url, hosts)) is not None:
        raise ConfigError([fault])


def _fault(url: str, hosts: Collection[str]) -> Fault | None:
    where = "callback_url"
    try:
        parsed = httpx.URL(url)  # the parser of what sends: no two may read an address differently
    except (httpx.InvalidURL, ValueError):
        return Fault(where, "is no address", "http(s)://HOST[:PORT]/…")
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        return Fault(where, "is not accepted", "http(s)://HOST[:PORT]/… without a password")
    host = parsed.netloc.decode()  # in lower case, and without a port that is the usual one
    if host in hosts:
        return None
    return Fault(
        where,
        f"the operator has not allowed callbacks to {host}",
        ", ".join(sorted(hosts)) or "none: OKDHP_CALLBACK_HOSTS names the hosts",
    )


class Courier:
    """Delivers callbacks; any number of them share the work."""

    def __init__(self, database: Database, settings: WorkerSettings) -> None:
        self._database, self._settings = database, settings
        # Its lines have whole addresses, and whoever knows one may use it.
        logging.getLogger("httpx").setLevel(logging.WARNING)

    def deliver_due(self) -> None:
        """Try each that is due once."""
        while (callback := take_due(self._database)) is not None:
            fault = self._delivered(callback)
            if fault is None or callback.is_last_try:
                forget(self._database, callback.id)
            if fault is not None:
                goes_on = "nobody tries again" if callback.is_last_try else "to be tried again"
                log.warning("job %s: callback %s: %s", callback.job_id, fault, goes_on)

    def _delivered(self, callback: Callback) -> str | None:
        """Send it once, outside of any transaction; what was wrong, if anything was."""
        fault = _fault(callback.url, self._settings.callback_hosts)
        if fault is not None:  # allowed when the job was posted
            return fault.problem
        body = json.dumps(callback.body, sort_keys=True).encode()
        headers = {"Content-Type": "application/json", EVENT: callback.id}
        if (secret := self._settings.callback_secret) is not None:
            headers[SIGNATURE] = f"sha256={signature(body, secret)}"
        try:
            # The answer's status is all: its body, of any length, is not read.
            with httpx.stream(
                "POST",
                callback.url,
                content=body,
                headers=headers,
                timeout=TIMEOUT_S,
                follow_redirects=False,
            ) as answer:
                return None if answer.is_success else f"was answered {answer.status_code}"
        except httpx.HTTPError as error:
            return f"did not arrive ({type(error).__name__})"


def signature(body: bytes, secret: str) -> str:
    """HMAC-SHA256 in hex, by which a receiver knows who sent a body."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
