"""/models: what there is, and putting a version into production."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from model.errors import Fault
from model.receipt import Receipt
from service.context import Context, context
from service.errors import RequestInvalid
from service.keys.guard import caller
from service.models import schemas
from service.problems import problems
from service.times import shown
from worker.errors import ActionRefused, ModelNotFound, PromotionRefused
from worker.gate import judge
from worker.registry import ModelEntry, siblings_among
from worker.store import ACTIONS, Promotion, State, Version

router = APIRouter(prefix="/models", tags=["models"])
Parts = Annotated[Context, Depends(context)]


@router.get("", summary="List models")
def list_models(parts: Parts) -> schemas.ModelList:
    """Every model with its versions, and which one is in production."""
    production = _production(parts)
    return schemas.ModelList(
        production=production,
        models=[_entry(model, production, parts) for model in parts.stores.registry.models()],
    )


@router.get("/{name}", summary="Look at a model", responses=problems(404))
def get_model(name: str, parts: Parts) -> schemas.ModelDocument:
    """Its versions and the log of its promotions."""
    registry = parts.stores.registry
    found = next((model for model in registry.models() if model.name == name), None)
    if found is None:
        raise ModelNotFound(f"there is no model {name!r}")
    return schemas.ModelDocument(
        **_entry(found, _production(parts), parts).model_dump(),
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

    A version that cannot run here, or that the gate finds short of what the operator demands, is
    refused and nothing changes. `force` with a reason passes the gate over, which is logged.
    """
    posted = posted or schemas.PromotionPost()
    if posted.force and not posted.reason.strip():
        raise RequestInvalid(Fault("reason", "is missing", "why the gate is passed over"))
    registry = parts.stores.registry
    found = registry.get(name, version)
    verdict = judge(
        found, _in_production(parts), parts.settings.gate, provider=parts.settings.provider
    )
    if verdict.faults and not posted.force:
        raise PromotionRefused(name, version, verdict.faults)
    parts.models.load(name, version)
    line = registry.promote(
        name, version, who=caller(request), why=posted.reason, gate=verdict, forced=posted.force
    )
    parts.models.refresh()
    return _promotion(line)


@router.post(
    "/{name}/rollback",
    summary="Put back what was in production before",
    responses=problems(404, 409, 410, 422),
)
def roll_back(
    name: str, request: Request, parts: Parts, posted: schemas.RollbackPost | None = None
) -> schemas.PromotionEntry:
    """The model must be in production. Once more goes one further back.

    The gate is not asked: what is put back was in production.
    """
    registry = parts.stores.registry
    to = registry.before(name)
    parts.models.load(to.model, to.version)
    why = posted.reason if posted else ""
    line = registry.roll_back(name, to, who=caller(request), why=why)
    parts.models.refresh()
    return _promotion(line)


@router.post(
    "/{name}/versions",
    summary="Register a student of a job",
    status_code=201,
    responses=problems(404, 409, 410, 422),
)
def add_version(name: str, posted: schemas.VersionPost, parts: Parts) -> schemas.VersionEntry:
    """Any branch that the job left, as the model's next version; asked again, the same version.

    A job registers its best branch by itself.
    """
    stores = parts.stores
    job = stores.jobs.get(posted.job)
    if job.state != State.SUCCEEDED:
        raise ActionRefused(job.id, "register a student of", job.state, ACTIONS[job.state])
    left = stores.jobs.artifacts(job.id)
    version = stores.registry.add_branch(name, job.id, posted.branch, left)
    return _alone(version, parts)


@router.post(
    "/{name}/versions/{version}/load",
    summary="Load and warm a version",
    responses=problems(404, 409, 410, 422),
)
def load(name: str, version: int, parts: Parts) -> schemas.VersionEntry:
    """Beside the one in production, so that the first request for it does not wait.

    It stays until more versions are asked for than the setting `loaded_models` keeps.
    """
    parts.models.load(name, version)
    found = parts.stores.registry.get(name, version)
    return _alone(found, parts)


@router.post(
    "/{name}/versions/{version}/unload",
    summary="Free a version's memory",
    responses=problems(404, 409, 422),
)
def unload(name: str, version: int, parts: Parts) -> schemas.VersionEntry:
    """When the last request that uses it ends. A request for it loads it again."""
    found = parts.stores.registry.get(name, version)
    parts.models.unload(name, version)
    return _alone(found, parts)


def _in_production(parts: Context) -> Version | None:
    try:
        return parts.stores.registry.production()
    except ModelNotFound:
        return None


def _production(parts: Context) -> schemas.ProductionEntry | None:
    found = _in_production(parts)
    return None if found is None else _key(found)


def _key(version: Version) -> schemas.ProductionEntry:
    return schemas.ProductionEntry(model=version.model, version=version.version)


def _entry(
    model: ModelEntry, production: schemas.ProductionEntry | None, parts: Context
) -> schemas.ModelEntry:
    return schemas.ModelEntry(
        name=model.name,
        default_version=model.default,
        versions=[
            _version(version, production, parts, siblings_among(model.versions, version))
            for version in model.versions
        ],
    )


def _alone(version: Version, parts: Context) -> schemas.VersionEntry:
    """A version outside of its model's list."""
    siblings = parts.stores.registry.siblings(version)
    return _version(version, _production(parts), parts, siblings)


def _version(
    version: Version,
    production: schemas.ProductionEntry | None,
    parts: Context,
    siblings: Sequence[Version],
) -> schemas.VersionEntry:
    card = version.card
    return schemas.VersionEntry(
        model=version.model,
        version=version.version,
        in_production=_key(version) == production,
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
        run=card["run"],
        siblings=[sibling.version for sibling in siblings],
        variant=version.variant,
        against_fp32=(version.receipt or {}).get("against_fp32"),
        loaded=(version.model, version.version) in parts.models.loaded(),
        created_at=shown(version.created_at),
    )


def _promotion(line: Promotion) -> schemas.PromotionEntry:
    return schemas.PromotionEntry(
        model=line.model,
        version=line.version,
        at=shown(line.at),
        who=line.who,
        why=line.why,
        action=line.action,
        gate=None if line.gate is None else schemas.GateEntry.model_validate(line.gate),
    )
