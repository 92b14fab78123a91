"""Which student a command means: a file, a name in the registry, or the one in production."""

from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.options import settings_of

if TYPE_CHECKING:
    from service.predict.models import Served


def open_student(asked: str | None, home: Path | None) -> "Served":
    """asked: an ONNX file, `name`, `name:version`, or None for production.

    Without any home the bundled student is in production, and no home is made for it.
    Raises ModelUnusable, ModelNotFound, VersionNotFound, ArtifactUnusable, StoreUnusable.
    """
    from model.predictor import BUNDLED, Predictor
    from service.predict.models import Served
    from worker.registry import BUNDLED_NAME
    from worker.stores import open_stores

    settings = settings_of(home)
    if asked is not None and (asked.endswith(".onnx") or Path(asked).is_file()):
        return Served(Path(asked).stem, 0, Predictor(Path(asked), provider=settings.provider))
    if asked is None and BUNDLED.is_file() and not settings.home.exists():
        return Served(BUNDLED_NAME, 1, Predictor(BUNDLED, provider=settings.provider))
    stores = open_stores(settings)
    try:
        stores.registry.ensure_bundled()
        version = stores.registry.resolve(asked)
        path = stores.registry.open_local(version.model, version.version)
        predictor = Predictor(path, provider=settings.provider)
        return Served(version.model, version.version, predictor)
    finally:
        stores.close()
