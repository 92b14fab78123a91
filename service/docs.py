"""The API's description, and /docs from local files: a machine without internet sees it too.

FastAPI's own page loads Swagger UI from a CDN; `fastapi-swagger` ships the same files in a wheel.
"""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import RedirectResponse
from starlette.staticfiles import StaticFiles

from service.keys.needs import role_needed
from service.problems import MEDIA_TYPE, ErrorDocument, ProblemDocument, problems, speaks_v2
from service.v2.schemas import InferRequest


def install(app: FastAPI) -> None:
    """Adds /docs and its files, leads / there, and describes every error as it really is."""
    by_fastapi = app.openapi

    def described() -> dict[str, Any]:
        document = by_fastapi()
        _describe_keys(document)
        _describe_edge(document)
        _describe_problems(document)
        return document

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way
    app.mount("/docs/static", StaticFiles(packages=[("fastapi_swagger", "resources")]))

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        root = request.scope.get("root_path", "").rstrip("/")
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=app.title,
            swagger_js_url=f"{root}/docs/static/swagger-ui-bundle.js",
            swagger_css_url=f"{root}/docs/static/swagger-ui.css",
            swagger_favicon_url=f"{root}/docs/static/favicon-32x32.png",
        )

    @app.get("/", include_in_schema=False)
    async def home(request: Request) -> Response:
        return RedirectResponse(request.scope.get("root_path", "").rstrip("/") + "/docs")


def _describe_keys(document: dict[str, Any]) -> None:
    """How a key is sent, and which operations take one."""
    document.setdefault("components", {})["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path, methods in document.get("paths", {}).items():
        for method, operation in methods.items():
            role = role_needed(method.upper(), path)
            if role is not None:
                operation["security"] = [{"bearer": []}, {"header": []}]
                for status, description in ((401, "no known key"), (403, f"not of role {role}")):
                    said = {"description": f"{description}; only once keys are needed"}
                    operation["responses"].setdefault(str(status), said)


def _describe_edge(document: dict[str, Any]) -> None:
    """What is refused before a route sees it, and a store that is away."""
    for methods in document.get("paths", {}).values():
        for operation in methods.values():
            statuses = (400, 408, 413, 431, 503) if "requestBody" in operation else (400, 431, 503)
            for status, said in problems(*statuses).items():
                operation["responses"].setdefault(str(status), said)


def _describe_problems(document: dict[str, Any]) -> None:
    """Every error's content is a problem document, or what the Open Inference Protocol makes of
    it; FastAPI would say its own of some.
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in (ProblemDocument, ErrorDocument, InferRequest):  # no route declares them
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    ours = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    v2 = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorDocument"}}}
    for path, methods in document.get("paths", {}).items():
        content = v2 if speaks_v2(path) else ours
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status >= "400":
                    response["content"] = content
