"""Somebody who follows a job live, as a browser does: after a broken connection from the last event
on, for as long as it takes.
"""

import threading
import time

import httpx


class Follower(threading.Thread):
    """Reads `GET /jobs/{id}/events` until the job has ended."""

    def __init__(self, url: str, job_id: str, seqs: list[int]) -> None:
        """seqs: numbers of the events that were read before."""
        super().__init__(name=f"follower-{job_id}", daemon=True)
        self._url = f"{url}/jobs/{job_id}/events"
        self.seqs = list(seqs)
        self.start()

    def run(self) -> None:
        while True:
            try:
                if self._read():
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)

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
