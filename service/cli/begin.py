"""What a training on the command line begins with: files, URLs, registered models, jobs, runs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from model.errors import ConfigError, Fault
from service.cli.options import settings_of

if TYPE_CHECKING:
    from model.config import Config
    from worker.jobs.references import Reference
    from worker.stores import Stores

OPTION: Final = "--from"
RUN: Final = "a run's folder, its name in runs/, a job's id, or the URL of a run or its last.pt"


def with_files(config: "Config", home: Path | None, *, goes_on: bool = False) -> "Config":
    """The configuration with files of this machine for all that it refers to; URLs stay.

    What is no path is the name of a registered model or data set, or the id of a job, of the home.
    goes_on: what the training began with may be gone by now.
    Raises ConfigError, DatasetNotFound, ArtifactUnusable, StoreUnusable.
    """
    from model.config import load_config
    from worker.jobs.references import replaced

    with _Home(home, goes_on) as here:
        if any(source.dataset for source in (*config.data.train, *config.data.valid)):
            config = config.with_sources(here.stores.datasets.lookup)
        return load_config(replaced(config.model_dump(mode="json"), here.found))


class _Home:
    """What names mean; the home is opened, and made, when one has to be looked up."""

    def __init__(self, home: Path | None, goes_on: bool) -> None:
        self._home, self._goes_on = home, goes_on
        self._opened: Stores | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *of: object) -> None:
        if self._opened is not None:
            self._opened.close()

    @property
    def stores(self) -> "Stores":
        if self._opened is None:
            from worker.stores import open_stores

            self._opened = open_stores(settings_of(self._home))
            self._opened.registry.ensure_bundled()
        return self._opened

    def found(self, reference: "Reference", text: str) -> str:
        """A path, or the URL as it stands, of something that is there. Raises ConfigError."""
        from model.training.start.begin import BEST, is_url, local_file
        from worker.jobs.references import pin, place

        if self._goes_on and reference.where == "training.init":
            return text
        path = Path(text).expanduser()
        if is_url(text) or path.exists():
            inside = BEST if BEST.endswith(reference.artifact) else reference.artifact
            local_file(text, reference.where, inside=(inside,))
            return text if is_url(text) else str(path.absolute())
        if "/" in text:
            accepted = f"a path, a URL, {reference.accepted}"
            raise ConfigError([Fault(reference.where, f"there is no {text}", accepted)])
        return str(place(reference, pin(reference, text, self.stores), self.stores))


@contextmanager
def copied_run(reference: str, run_dir: Path, home: Path | None) -> Iterator[None]:
    """Another run in a folder of its own, to go on with; gone again where that is refused.

    Raises ConfigError.
    """
    from model.training.start.begin import fetch_run

    if run_dir.exists():
        fault = f"{run_dir} is there already"
        raise ConfigError([Fault("--out", fault, "a new folder; --resume goes on in one")])
    place = place_of_run(reference, home, OPTION)
    try:
        fetch_run(place, run_dir, OPTION)
        yield
    except ConfigError:
        shutil.rmtree(run_dir, ignore_errors=True)
        raise


def place_of_run(reference: str, home: Path | None, where: str) -> str:
    """A path or URL of a run. where: the option, for the error. Raises ConfigError."""
    if "://" in reference:
        return reference
    for place in (Path(reference).expanduser(), Path("runs") / reference):
        if place.exists():
            return str(place)
    of_job = settings_of(home).run_dir(reference)
    if "/" in reference or not of_job.exists():
        raise ConfigError([Fault(where, f"there is no run {reference}", RUN)])
    return str(of_job)


def config_of_run(run_dir: Path) -> dict[str, Any]:
    """The configuration's tree of a run's folder, or of its lone checkpoint. Raises ConfigError."""
    from model.config import read_config
    from model.training.start.begin import LAST

    file = run_dir / "config.yaml"
    if file.exists() or not (run_dir / LAST).exists():
        return read_config(file)
    from model.training.state.checkpoints import read_checkpoint

    tree: dict[str, Any] = read_checkpoint(run_dir / LAST)["config"]
    return tree
