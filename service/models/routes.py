"""/models: what there is, and putting a version into production."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from model.receipt import Receipt
from service.context import Context, context
from service.models import schemas
from service.problems import problems
from service.times import shown
from worker.errors import ModelNotFound
from worker.registry import ModelEntry
from worker.store import Promotion, Version

router = APIRouter(prefix="/models", tags=["models"])
Parts = Annotated[Context, Depends(context)]


@router.get("", summary="List models")
def list_models(parts: Parts) -> schemas.ModelList:
    """Every model with its versions, and which one is in production."""
    production = _production(parts)
    return schemas.ModelList(
        production=production,
        models=[_entry(model, production) for model in parts.stores.registry.models()],
    )


@router.get("/{name}", summary="Look at a model", responses=problems(404))
def get_model(name: str, parts: Parts) -> schemas.ModelDocument:
    """Its versions and the log of its promotions."""
    registry = parts.stores.registry
    found = next((model for model in registry.models() if model.name == name), None)
    if found is None:
        raise ModelNotFound(f"there is no model {name!r}")
    return schemas.ModelDocument(
        **_entry(found, _production(parts)).model_dump(),
        promotions=[_promotion(line) for line in registry.promotions(name)],
    )


@router.get(
    "/{name}/versions/{version}/receipt",
    summary="The evidence for a version",
    responses={200: {"model": Receipt}, **problems(404, 422)},
)
def get_receipt(name: str, version: int, parts: Parts) -> dict[str, Any]:
    """What is claimed of its file: gain, parity, accuracy, latency, calibration, data, licences.

    As it was written when the version was made; `okdhp verify` computes it again.
    """
    return parts.stores.registry.receipt(name, version)


@router.post(
    "/{name}/versions/{version}/promote",
    summary="Put a version into production",
    responses=problems(404, 409, 410, 422),
)
def promote(
    name: str,
    version: int,
    request: Request,
    parts: Parts,
    posted: schemas.PromotionPost | None = None,
) -> schemas.PromotionEntry:
    """From the answer on, /predict uses it; no request fails or is kept waiting meanwhile.

    A version that cannot run here is refused and nothing changes.
    """
    parts.models.load(name, version)
    who = request.client.host if request.client else "unknown"
    why = posted.reason if posted else ""
    line = parts.stores.registry.promote(name, version, who=who, why=why)
    parts.models.refresh()
    return _promotion(line)


def _production(parts: Context) -> schemas.ProductionEntry | None:
    try:
        found = parts.stores.registry.production()
    except ModelNotFound:
        return None
    return schemas.ProductionEntry(model=found.model, version=found.version)


def _entry(model: ModelEntry, production: schemas.ProductionEntry | None) -> schemas.ModelEntry:
    return schemas.ModelEntry(
        name=model.name,
        default_version=model.promoted or model.versions[0].version,
        versions=[_version(version, production) for version in model.versions],
    )


def _version(version: Version, production: schemas.ProductionEntry | None) -> schemas.VersionEntry:
    here = schemas.ProductionEntry(model=version.model, version=version.version)
    card = version.card
    return schemas.VersionEntry(
        model=version.model,
        version=version.version,
        in_production=here == production,
        branch=card["branch"],
        skeleton=card["skeleton"]["name"],
        input_px=card["size"],
        bytes=version.bytes,
        sha256=version.sha256,
        licence=card["licence"],
        data=card["data"],
        metrics=version.metrics,
        has_receipt=version.receipt is not None,
        job=version.job_id,
        created_at=shown(version.created_at),
    )


def _promotion(line: Promotion) -> schemas.PromotionEntry:
    return schemas.PromotionEntry(
        model=line.model, version=line.version, at=shown(line.at), who=line.who, why=line.why
    )
