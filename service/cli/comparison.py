"""What a command line compares: a file, options over it, and people for three purposes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from service.cli.sources import FORM

if TYPE_CHECKING:
    from model.comparison.cells import Cell
    from model.comparison.config import CompareConfig

COMPARISON: Final = "comparison.yaml"
"""What is compared, as it is kept in the comparison's folder."""


def named_parts(path: Path, option: str) -> dict[str, Any]:
    """A YAML file of names, as of variants and layouts. Raises ConfigError."""
    from model.config import read_config
    from model.errors import ConfigError, Fault

    try:
        return read_config(path)
    except ConfigError as error:
        raise ConfigError([Fault(option, str(fault)) for fault in error.faults]) from None


def seeds_of(text: str) -> int | list[int]:
    from model.errors import ConfigError, Fault

    try:
        several = [int(part) for part in text.split(",")]
    except ValueError:
        accepted = "a number of seeds, or seeds as 3,4,5"
        raise ConfigError([Fault("--seeds", f"found {text!r}", accepted)]) from None
    return several if "," in text else several[0]


def comparison_of(
    settings: Sequence[str],
    preset: str | None,
    options: Mapping[str, Any],
    sources: tuple[list[str], list[str], list[str]],
    folder: Path,
) -> "CompareConfig":
    """The comparison of a command line. Raises ConfigError."""
    from model.comparison.config import load_comparison
    from model.config import merge, parse_overrides, preset_names, read_config
    from model.errors import ConfigError, Fault
    from service.cli.held_out import comparison_sources

    files = [Path(text) for text in settings if "=" not in text]
    if len(files) + (preset is not None) > 1:
        raise ConfigError([Fault("configuration", "several were given", "one file or --preset")])
    if not files and preset is None and (folder / COMPARISON).is_file():
        files = [folder / COMPARISON]
    tree: dict[str, Any] = {"config": {"preset": preset}}
    if files:
        read = read_config(files[0])
        tree = read if "config" in read else {"config": read}
    elif preset is None:
        accepted = f"a YAML file, or --preset with {', '.join(preset_names())}"
        raise ConfigError([Fault("configuration", "none was given", accepted)])
    tree = tree | {key: value for key, value in options.items() if value is not None}
    data, valid, report = sources
    if data:
        parts = comparison_sources(data, valid, report)
        tree["report"] = parts.pop("report")
        tree["config"] = merge(tree["config"], {"data": parts})
    elif valid or report:
        tree |= _sources_alone(tree["config"], valid, report)
    overrides = parse_overrides([text for text in settings if "=" in text])
    tree["config"] = merge(tree["config"], overrides)
    if "report" not in tree:
        tree["report"] = _drawn(tree["config"])
    return load_comparison(tree)


def _sources_alone(
    config: Mapping[str, Any], valid: list[str], report: list[str]
) -> dict[str, Any]:
    """What `--valid` and `--report` change where what is learnt from stands in a file."""
    from model.config import merge
    from service.cli.sources import narrowed, parse_source

    changed: dict[str, Any] = {}
    if valid:
        chosen = [narrowed(parse_source(t, "--valid"), "val", "--valid") for t in valid]
        parts = {"data": {"valid": [source.model_dump(mode="json") for source in chosen]}}
        changed["config"] = merge(config, parts)
    if report:
        sources = [narrowed(parse_source(t, "--report"), "val", "--report") for t in report]
        changed["report"] = [source.model_dump(mode="json") for source in sources]
    return changed


def _drawn(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """People for the table where none were named: drawn ones. Raises ConfigError."""
    from model.config import load_config
    from model.errors import ConfigError, Fault
    from service.cli.held_out import drawn_for_table

    found = drawn_for_table(load_config(config).data.valid)
    if found is None:
        fault = "nobody was named for the table"
        raise ConfigError([Fault("report", fault, f"--report {FORM}, or `report` in the file")])
    return [source.model_dump(mode="json") for source in found]


def placed(
    config: "CompareConfig", all_cells: Sequence["Cell"], home: Path | None
) -> tuple["CompareConfig", list["Cell"]]:
    """The same with files of this machine for registered data sets, models and jobs.

    Raises ConfigError, DatasetNotFound, ArtifactUnusable, StoreUnusable.
    """
    from service.cli.begin import with_files
    from service.cli.options import settings_of
    from worker.jobs.sources import placed_source
    from worker.stores import open_stores

    found = [replace(cell, config=with_files(cell.config, home)) for cell in all_cells]
    if not any(source.dataset for source in config.report):
        return config, found
    stores = open_stores(settings_of(home))
    try:
        report = tuple(placed_source(source, stores) for source in config.report)
    finally:
        stores.close()
    return config.model_copy(update={"report": report}), found


def as_yaml(config: "CompareConfig") -> str:
    """A file that can be given back."""
    import yaml

    tree = config.model_dump(mode="json")
    text: str = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    return text


def keep(config: "CompareConfig", folder: Path) -> None:
    """Note in the comparison's folder what is compared there, so that `--out` alone goes on."""
    from model.files import replaced

    with replaced(folder / COMPARISON) as file:
        file.write(as_yaml(config).encode())
