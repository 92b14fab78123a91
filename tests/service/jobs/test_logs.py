"""GET /jobs/{id}/logs: any part of a log, and where the next begins."""

import pytest
from fastapi.testclient import TestClient

from worker.store import Claim
from worker.stores import Stores

LINES = [f"line {n}" for n in range(1, 251)]


@pytest.fixture(scope="module")
def claim(stores: Stores) -> Claim:
    """A running job with a log of 250 lines."""
    job, _ = stores.jobs.add("distill", {}, {})
    claim = stores.jobs.claim(job.id, "test:1")
    stores.jobs.add_lines(claim, 1, LINES)
    return claim


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ("", 1, 250),
        ("?tail=3", 248, 250),
        ("?tail=999", 1, 250),
        ("?from=100&lines=2", 100, 101),
        ("?lines=101", 1, 101),
        ("?from=240", 240, 250),
        ("?from=251", 251, 250),
    ],
)
def test_a_part_of_a_log(
    client: TestClient, claim: Claim, query: str, first: int, last: int
) -> None:
    """As plain text, with the number to go on from."""
    response = client.get(f"/jobs/{claim.job_id}/logs{query}")

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text.splitlines() == LINES[first - 1 : last]
    assert response.headers["x-next-line"] == str(last + 1)


def test_a_log_is_read_on_as_it_grows(client: TestClient, stores: Stores) -> None:
    """By asking for the next line; nothing twice, nothing left out."""
    job, _ = stores.jobs.add("distill", {}, {})
    claim = stores.jobs.claim(job.id, "test:1")
    seen: list[str] = []
    following = "1"
    for part in range(0, 250, 50):
        stores.jobs.add_lines(claim, part + 1, LINES[part : part + 50])
        response = client.get(f"/jobs/{job.id}/logs", params={"from": following, "lines": 70})
        seen += response.text.splitlines()
        following = response.headers["x-next-line"]

    assert seen == LINES


@pytest.mark.parametrize(
    "query", ["tail=0", "tail=x", "from=0", "lines=10001", "tail=2&from=1", f"from={10**20}"]
)
def test_a_part_that_makes_no_sense_is_refused(
    client: TestClient, claim: Claim, query: str
) -> None:
    """And named."""
    response = client.get(f"/jobs/{claim.job_id}/logs?{query}")

    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == f"query.{query.partition('=')[0]}"


@pytest.mark.parametrize("job_id", ["x", "00000000-0000-0000-0000-000000000000"])
def test_the_log_of_an_unknown_job_is_404(client: TestClient, job_id: str) -> None:
    """It is no log without lines."""
    assert client.get(f"/jobs/{job_id}/logs").status_code == 404
