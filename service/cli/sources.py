"""Data as the command line names it: FORMAT:PATH[:SPLIT], or synthetic:PEOPLE."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from model.errors import ConfigError, Fault

if TYPE_CHECKING:
    from model.config import SourceConfig

FORM: Final = "FORMAT:PATH[:SPLIT] with FORMAT lsp, mpii, coco or pack, or synthetic[:PEOPLE]"


def parse_source(text: str, option: str = "--data") -> "SourceConfig":
    """What one `--data` means; without a split the whole set. Raises ConfigError."""
    from model.config import SourceConfig, validated

    format_, _, rest = text.partition(":")
    if format_ == "synthetic":
        tree: dict[str, object] = {"format": format_, "people": rest or None}
    elif rest:
        path, split = _path_and_split(rest)
        tree = {"format": format_, "path": path, "split": split}
    else:
        raise ConfigError([Fault(option, f"found {text!r}", FORM)])
    source: SourceConfig = validated(SourceConfig, tree, option)
    return source


def _path_and_split(rest: str) -> tuple[Path, str | None]:
    """A path may hold colons: what exists as it stands has no split."""
    if not Path(rest).expanduser().exists() and ":" in rest:
        path, _, split = rest.rpartition(":")
        return Path(path).expanduser().absolute(), split
    return Path(rest).expanduser().absolute(), None


def training_sources(
    data: list[str], valid: list[str]
) -> tuple[list["SourceConfig"], list["SourceConfig"]]:
    """What is learnt from and what is judged on.

    A set given without a split is learnt from by its split `train` and judged on by `valid`.
    Without any `valid` each set that is learnt from is judged on by its own split `valid`, if it
    has one; drawn people are judged on a tenth as many, of another seed. Splits are recognised by
    their beginnings, as COCO's `train2017` and `val2017`.
    Raises ConfigError, where nothing is left to judge on too.
    """
    named = [parse_source(text) for text in data]
    learnt = [narrowed(source, "train", "--data") for source in named]
    if valid:
        judged = [narrowed(parse_source(text, "--valid"), "val", "--valid") for text in valid]
    else:
        judged = [found for source in learnt if (found := counterpart(source)) is not None]
    if not judged:
        fault = "no --data has a split `valid` to judge on"
        raise ConfigError([Fault("--valid", fault, f"--valid {FORM}")])
    return learnt, [source for i, source in enumerate(judged) if source not in judged[:i]]


def narrowed(source: "SourceConfig", stem: str, option: str) -> "SourceConfig":
    """The source with a split, where its set has splits. Raises ConfigError."""
    splits = _splits(source)
    if source.split is not None or not splits:
        return source
    for split in splits:
        if split.startswith(stem):
            return source.model_copy(update={"split": split})
    where = f"{source.format}:{source.path}"
    raise ConfigError([Fault(option, f"{where} does not say which split", ", ".join(splits))])


def counterpart(source: "SourceConfig") -> "SourceConfig | None":
    """What a source that is learnt from can be judged on."""
    if source.format == "synthetic":
        people = max(1, (source.people or 1000) // 10)
        return source.model_copy(update={"seed": source.seed + 1, "people": people})
    for split in _splits(source):
        if split.startswith("val") and split != source.split:
            return source.model_copy(update={"split": split})
    return None


def _splits(source: "SourceConfig") -> tuple[str, ...]:
    from model.data.readers import SPLITS

    if source.format in (None, "synthetic") or source.path is None:
        return ()
    return SPLITS[source.format](source.path)
