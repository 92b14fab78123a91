"""A server's /jobs over HTTP."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

import httpx

from service.cli.jobs.errors import RequestRefused, ServerAway

_TIMEOUT_S: Final = 30.0
_SILENCE_S: Final = 45.0
"""Of a stream, which pings every 15 s: the connection is dead then."""
_PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)


class Event(NamedTuple):
    """One of a job's events; `seq` is None where it is not kept."""

    seq: int | None
    kind: str
    data: dict[str, Any]


class Client:
    """One server; a context manager. Raises ServerAway and RequestRefused wherever it asks."""

    def __init__(self, server: str, key: str | None) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        try:
            self._http = httpx.Client(
                base_url=server, headers=headers, timeout=_TIMEOUT_S, follow_redirects=False
            )
        except (httpx.InvalidURL, UnicodeEncodeError):
            raise RequestRefused("the server's address or the key has odd characters") from None
        self.server = server.rstrip("/")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        """The answer, which is no error. given: as httpx takes it (params, json, headers)."""
        return self._checked(self._answered(lambda: self._http.request(method, path, **given)))

    def job(self, job_id: UUID | str) -> dict[str, Any]:
        """All about a job."""
        found: dict[str, Any] = self.ask("GET", f"/jobs/{job_id}").json()
        return found

    def jobs(self, limit: int, **filters: str | None) -> Iterator[dict[str, Any]]:
        """Jobs, newest first, page by page."""
        params = {name: value for name, value in filters.items() if value is not None}
        while limit > 0:
            page = self.ask("GET", "/jobs", params={**params, "limit": min(limit, 200)}).json()
            yield from page["jobs"]
            limit -= len(page["jobs"])
            if page["next"] is None:
                return
            params["cursor"] = page["next"]

    def events(self, job_id: UUID | str, notice: Callable[[str], None]) -> Iterator[Event]:
        """All of a job's events to its end, over as many connections as that takes.

        The last one is `end`. notice: is told when a connection broke.
        """
        after, failed, told = 0, 0, False
        while True:
            try:
                for event in self._stream(job_id, after):
                    after, failed, told = event.seq or after, 0, False
                    yield event
                    if event.kind == "end":
                        return
            except ServerAway as fault:
                if after == 0:  # it never answered
                    raise
                if not told:
                    notice(f"{fault}; trying again")
                told = True
            time.sleep(_PAUSES_S[min(failed, len(_PAUSES_S) - 1)])
            failed += 1

    def _stream(self, job_id: UUID | str, after: int) -> Iterator[Event]:
        request = self._http.build_request(
            "GET",
            f"/jobs/{job_id}/events",
            headers={"Last-Event-ID": str(after), "Accept": "text/event-stream"},
            timeout=httpx.Timeout(_TIMEOUT_S, read=_SILENCE_S),
        )
        response = self._answered(lambda: self._http.send(request, stream=True))
        try:
            if response.is_error:
                self._answered(response.read)
            self._checked(response)
            if response.status_code == HTTPStatus.NO_CONTENT:
                yield Event(None, "end", {"state": self.job(job_id)["state"]})
                return
            yield from parsed(response.iter_lines())
        except httpx.TransportError as error:
            raise ServerAway(f"the connection to {self.server} broke ({error})") from None
        finally:
            response.close()

    def _answered(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except (httpx.UnsupportedProtocol, httpx.InvalidURL):
            raise RequestRefused(f"{self.server!r} is no address; accepted: http(s)://…") from None
        except httpx.TransportError as error:
            raise ServerAway(f"{self.server} does not answer ({error})") from None

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.is_success:
            return response
        text = _problem(response)
        if response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            text = f"{text} (here: --key, or OKDHP_KEY)"
        raise (ServerAway if response.is_server_error else RequestRefused)(text)


def parsed(lines: Iterable[str]) -> Iterator[Event]:
    """Server-sent events (WHATWG HTML, 9.2.6) out of their lines; one that is cut off is not."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            seq = int(fields["id"]) if "id" in fields else None
            yield Event(seq, fields.get("event", "message"), json.loads(fields["data"]))
        fields = {}


def _problem(response: httpx.Response) -> str:
    """A problem document in one message; something else may have answered, as a proxy."""
    try:
        document = response.json()
        return str(document["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{response.url} answered {response.status_code} {response.reason_phrase}"
