"""Which role a request needs. What nobody thought of needs `admin`."""

from typing import Final

from worker.roles import Role

_OPEN: Final = ("/healthz", "/readyz", "/docs", "/openapi.json", "/v2/health")
"""Probes and the description, which tell nobody anything about data."""
_PREDICT: Final = ("/predict", "/v2", "/metrics")
_JOBS: Final = ("/jobs", "/datasets")
_READING: Final = ("GET", "HEAD")


def role_needed(method: str, path: str) -> Role | None:
    """The least role that may; None where no key is needed.

    path: below whatever a proxy has put before our paths.
    """
    if path == "/" or _below(path, _OPEN):
        return None
    if _below(path, _PREDICT) or (method in _READING and _below(path, ("/models",))):
        return Role.PREDICT
    return Role.JOBS if _below(path, _JOBS) else Role.ADMIN


def _below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(root + "/") for root in roots)
