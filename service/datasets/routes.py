"""/datasets: registering and uploading labelled sets, looking at them, and letting them go."""

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any, Final, Literal

from anyio import CancelScope, to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from service.context import Context, context
from service.datasets.schemas import DatasetDocument, DatasetList, DatasetPost, VersionEntry
from service.errors import MediaTypeUnsupported
from service.problems import problems
from service.times import shown
from worker.datasets import Upload
from worker.names import checked_name
from worker.store import Dataset
from worker.submission import submit

router = APIRouter(prefix="/datasets", tags=["datasets"])
Parts = Annotated[Context, Depends(context)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]

ARCHIVE: Final = "/datasets/[^/]+/archive"
"""Where bodies may be larger than elsewhere, as a pattern."""
_ZIP: Final = (
    "application/zip",
    "application/x-zip-compressed",
    "application/octet-stream",
    # curl's --data-binary says so of whatever it sends
    "application/x-www-form-urlencoded",
)
_PIECE: Final = 1024**2
_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_OPENAPI: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"application/zip": _BYTES}}
}


@router.get("", summary="List data sets")
def list_datasets(parts: Parts) -> DatasetList:
    """What jobs may name."""
    by_name = groupby(parts.stores.datasets.all(), lambda found: found.name)
    versions = [list(found) for _, found in by_name]
    return DatasetList(datasets=[_document(found[0], found) for found in versions])


@router.get("/{name}", summary="Look at a data set", responses=problems(404))
def get_dataset(name: str, parts: Parts) -> DatasetDocument:
    """Its newest version: counts of every split, and what was odd."""
    found = parts.stores.datasets.versions(name)
    return _document(found[0], found)


@router.get(
    "/{name}/versions/{version}",
    summary="Look at a data set's version",
    responses=problems(404, 422),
)
def get_version(name: str, version: Number, parts: Parts) -> DatasetDocument:
    """As it was when it came."""
    found = parts.stores.datasets.get(f"{name}:{version}")
    return _document(found, parts.stores.datasets.versions(name))


@router.post(
    "", status_code=201, summary="Register a data set", responses=problems(400, 409, 413, 422)
)
def post_dataset(posted: DatasetPost, parts: Parts) -> DatasetDocument:
    """Reads the whole set and checks it: labels, images, joints. Again under its name: afresh."""
    datasets = parts.stores.datasets
    found = datasets.register(posted.name, posted.format, posted.path)
    return _document(found, datasets.versions(posted.name))


@router.put(
    "/{name}/archive",
    status_code=201,
    summary="Upload a data set",
    response_model=DatasetDocument,
    responses={
        200: {"model": DatasetDocument, "description": "These files are a version already"},
        **problems(400, 409, 413, 415, 422, 503),
    },
    openapi_extra=_OPENAPI,
)
async def put_archive(
    name: str,
    request: Request,
    response: Response,
    parts: Parts,
    format: Annotated[
        Literal["lsp", "mpii", "coco"] | None,
        Query(description="told by the files' names where it is not given"),
    ] = None,
) -> DatasetDocument:
    """The body is a ZIP of the set's folder; it becomes the name's next version.

        curl -T gym.zip localhost:8000/datasets/gym/archive

    It goes to the disk as it comes, is unpacked within the operator's bounds and read whole; what
    is refused leaves nothing. A job of kind `validate` then looks at every picture. The same files
    again are the version that they were.
    """
    checked_name(name, "data set")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type and media_type not in _ZIP:
        raise MediaTypeUnsupported(
            f"the body is {media_type}; accepted: the archive's bytes as {_ZIP[0]}; "
            f"with curl: -T {name}.zip"
        )
    settings = parts.settings
    upload = await to_thread.run_sync(Upload, settings.data_dir, name, settings.upload)
    try:
        await _receive(request, upload)
    except BaseException:
        with CancelScope(shield=True):
            await to_thread.run_sync(upload.close)
        raise
    loop = asyncio.get_running_loop()
    found, new = await loop.run_in_executor(parts.unpacking, _add, parts, name, upload, format)
    response.status_code = 201 if new else 200
    return found


@router.delete(
    "/{name}",
    status_code=204,
    response_class=Response,
    summary="Delete a data set",
    responses=problems(404, 409),
)
def delete_dataset(name: str, parts: Parts) -> None:
    """All its versions; refused while a job that has not ended uses one.

    Files that were uploaded are removed. Of a path that was registered only the name goes.
    """
    parts.stores.datasets.delete(name)


@router.delete(
    "/{name}/versions/{version}",
    status_code=204,
    response_class=Response,
    summary="Delete a data set's version",
    responses=problems(404, 409, 422),
)
def delete_version(name: str, version: Number, parts: Parts) -> None:
    """As a whole set is deleted. Its number is not given again."""
    parts.stores.datasets.delete(name, version)


async def _receive(request: Request, upload: Upload) -> None:
    """The body, in pieces that are worth a thread's turn."""
    piece = bytearray()
    async for some in request.stream():
        piece += some
        if len(piece) >= _PIECE:
            await to_thread.run_sync(upload.write, bytes(piece))
            piece.clear()
    await to_thread.run_sync(upload.write, bytes(piece))


def _add(
    parts: Context, name: str, upload: Upload, format: str | None
) -> tuple[DatasetDocument, bool]:
    """The version that an archive which came whole becomes, and whether it is new."""
    datasets = parts.stores.datasets
    try:
        found, new = datasets.upload(name, upload, format)
    finally:
        upload.close()
    if found.validation is None:
        config = {"data": {"dataset": found.reference}}
        job, _ = submit(parts.stores, parts.announcer, "validate", config)
        found = datasets.validated_by(found, job.id)
    return _document(found, datasets.versions(name)), new


def _document(found: Dataset, versions: Sequence[Dataset]) -> DatasetDocument:
    return DatasetDocument(
        name=found.name,
        version=found.version,
        reference=found.reference,
        format=found.format,
        path=found.path,
        uploaded=found.content is not None,
        splits=found.splits,
        problems=[str(problem) for problem in found.problems],
        fingerprint=found.fingerprint,
        validation=found.validation,
        created_at=shown(found.created_at),
        versions=[
            VersionEntry(
                version=one.version,
                reference=one.reference,
                fingerprint=one.fingerprint,
                created_at=shown(one.created_at),
            )
            for one in versions
        ],
    )
