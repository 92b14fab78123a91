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
    from model.predictor import BUNDLED
    from worker.registry import BUNDLED_NAME
    from worker.stores import open_stores

    settings = settings_of(home)
    if asked is not None and (asked.endswith(".onnx") or Path(asked).is_file()):
        return _served(Path(asked).stem, 0, Path(asked), settings.provider)
    if asked is None and BUNDLED.is_file() and not settings.home.exists():
        return _served(BUNDLED_NAME, 1, BUNDLED, settings.provider)
    stores = open_stores(settings)
    try:
        stores.registry.ensure_bundled()
        version = stores.registry.resolve(asked)
        path = stores.registry.open_local(version.model, version.version)
        return _served(version.model, version.version, path, settings.provider)
    finally:
        stores.close()


def _served(name: str, version: int, file: Path, provider: str) -> "Served":
    from model.predictor import Predictor
    from service.predict.batcher import Batcher
    from service.predict.models import Served

    predictor = Predictor(file, provider=provider)
    return Served(name, version, predictor, Batcher(predictor))
