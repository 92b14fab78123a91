"""Artifacts as HTTP responses, streamed from the store."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, Final
from urllib.parse import quote

from fastapi import Response
from fastapi.responses import StreamingResponse

from worker.artifacts import ArtifactStore
from worker.store import Artifact

_CHUNK: Final = 1 << 18
MEDIA_TYPES: Final = {
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".onnx": "application/octet-stream",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".yaml": "application/yaml",
}


def download(artifact: Artifact, store: ArtifactStore, if_none_match: str | None) -> Response:
    """The file, or 304 where the client has it already. Raises ArtifactUnusable."""
    path = PurePosixPath(artifact.name)
    headers = {
        "ETag": f'"{artifact.sha256}"',
        "Cache-Control": "no-cache",  # keep it, but ask: a job that runs again replaces its files
        "Content-Disposition": f"inline; filename*=utf-8''{quote(path.name)}",
    }
    if if_none_match is not None and artifact.sha256 in if_none_match:
        return Response(status_code=304, headers=headers)
    return StreamingResponse(
        _chunks(store.open(artifact.key)),
        media_type=MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
        headers={**headers, "Content-Length": str(artifact.bytes)},
    )


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk
