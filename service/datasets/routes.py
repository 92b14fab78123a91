"""/datasets: registering labelled sets and looking at them."""

from typing import Annotated

from fastapi import APIRouter, Depends

from service.context import Context, context
from service.datasets.schemas import DatasetDocument, DatasetList, DatasetPost
from service.problems import problems
from service.times import shown
from worker.store import Dataset

router = APIRouter(prefix="/datasets", tags=["datasets"])
Parts = Annotated[Context, Depends(context)]


@router.get("", summary="List data sets")
def list_datasets(parts: Parts) -> DatasetList:
    """What jobs may name."""
    return DatasetList(datasets=[_document(found) for found in parts.stores.datasets.all()])


@router.get("/{name}", summary="Look at a data set", responses=problems(404))
def get_dataset(name: str, parts: Parts) -> DatasetDocument:
    """Counts of every split, and what was odd."""
    return _document(parts.stores.datasets.get(name))


@router.post(
    "", status_code=201, summary="Register a data set", responses=problems(400, 409, 413, 422)
)
def post_dataset(posted: DatasetPost, parts: Parts) -> DatasetDocument:
    """Reads the whole set and checks it: labels, images, joints. Again under its name: afresh."""
    found = parts.stores.datasets.register(posted.name, posted.format, posted.path)
    return _document(found)


def _document(found: Dataset) -> DatasetDocument:
    return DatasetDocument(
        name=found.name,
        format=found.format,
        path=found.path,
        splits=found.splits,
        problems=[str(problem) for problem in found.problems],
        fingerprint=found.fingerprint,
        created_at=shown(found.created_at),
    )
