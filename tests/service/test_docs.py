"""/docs reads well and needs no internet."""

import re

from fastapi.testclient import TestClient

PARAMETERS = ["boxes", "model", "flip_test", "ensemble", "format"]


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    """Swagger UI comes from a CDN by default: an empty page on a closed network."""
    page = client.get("/docs").text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert links
    for link in links:
        assert link.startswith("/docs/static/")
        assert client.get(link).status_code == 200


def test_the_page_may_run_its_own_scripts_and_nothing_else_may(client: TestClient) -> None:
    """A policy that is too strict shows an empty page; one for data allows nothing."""
    page = client.get("/docs").headers["content-security-policy"]
    data = client.get("/models").headers["content-security-policy"]

    assert "script-src 'self' 'unsafe-inline'" in page
    assert "connect-src 'self'" in page
    assert data == "default-src 'none'; frame-ancestors 'none'"
    for path in ("/docs", "/models", "/nowhere"):
        assert client.get(path).headers["x-frame-options"] == "DENY"
        assert client.get(path).headers["referrer-policy"] == "no-referrer"


def test_the_front_door_leads_to_the_documentation(client: TestClient) -> None:
    """Who opens the address that the server printed should see something."""
    assert client.get("/", follow_redirects=True).url.path == "/docs"


def test_every_route_says_what_it_does_and_how_it_fails(client: TestClient) -> None:
    """The document is what client libraries are made from."""
    document = client.get("/openapi.json").json()

    operations = {
        (path, method): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert {path for path, _ in operations} >= {"/predict", "/jobs", "/jobs/{job_id}", "/models"}
    for place, operation in operations.items():
        assert operation["summary"], place
        assert operation["description"], place
        for status, response in operation["responses"].items():
            if status >= "400":
                v2 = place[0].startswith("/v2")  # whose protocol has errors of its own
                kind = "application/json" if v2 else "application/problem+json"
                assert list(response["content"]) == [kind], place


def test_the_way_to_predict_is_described(client: TestClient) -> None:
    """The route reads its body itself, so nothing describes it but ourselves."""
    predict = client.get("/openapi.json").json()["paths"]["/predict"]["post"]

    form = predict["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert list(form["properties"]) == ["image", *PARAMETERS]
    assert [p["name"] for p in predict["parameters"]] == [*PARAMETERS, "X-Timeout-Ms"]
    assert "422" in predict["responses"]
