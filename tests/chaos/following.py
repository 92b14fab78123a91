"""Somebody who follows a job live, as a browser does: after a broken connection from the last event
on, for as long as it takes.
"""

import threading
from contextlib import suppress

import httpx


class Follower(threading.Thread):
    """Reads `GET /jobs/{id}/events` until the job has ended."""

    def __init__(self, url: str, job_id: str, seqs: list[int]) -> None:
        """seqs: numbers of the events that were read before."""
        super().__init__(name=f"follower-{job_id}", daemon=True)
        self._url = f"{url}/jobs/{job_id}/events"
        self.seqs = list(seqs)
        self._stopped = threading.Event()
        self.start()

    def stop(self) -> None:
        """The server is gone for good."""
        self._stopped.set()

    def run(self) -> None:
        while not self._stopped.wait(0.1):
            with suppress(httpx.TransportError):
                if self._read():
                    return

    def _read(self) -> bool:
        """Whether the stream has come to its end."""
        last = {"Last-Event-ID": str(self.seqs[-1])} if self.seqs else {}
        with httpx.stream("GET", self._url, headers=last, timeout=20) as answer:
            if answer.status_code == 204:
                return True
            for line in answer.iter_lines():
                if line.startswith("id:"):
                    self.seqs.append(int(line.removeprefix("id:")))
                if line == "event: end":
                    return True
        return False
