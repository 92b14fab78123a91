"""Probes: /healthz for the process, /readyz for its answers."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from service.context import Context, context
from service.predict.answers import model_block
from service.predict.schemas import ModelBlock
from service.problems import problems

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """A model is loaded and runs where it was asked to."""

    status: Literal["ready"] = "ready"
    model: ModelBlock


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> Alive:
    """Looks at nothing else: a process that fails it should be started again."""
    return Alive()


@router.get("/readyz", summary="Whether it can answer", responses=problems(503))
async def readyz(parts: Annotated[Context, Depends(context)]) -> Ready:
    """503 until a model is loaded, on the runtime provider that was asked for."""
    return Ready(model=model_block([parts.models.production()]))
