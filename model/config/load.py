"""From a preset, a file and single values to a whole configuration."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from model.config.faults import faults_of, parts_in
from model.config.scheme import SchemeConfig
from model.config.tree import Config
from model.errors import ConfigError, Fault

PRESETS: Final = Path(__file__).parent.parent / "presets"
_SCHEMES: Final = parts_in(SchemeConfig)


def preset_names() -> list[str]:
    """The presets that ship."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def load_config(spec: Mapping[str, Any]) -> Config:
    """The configuration of `{"preset": NAME, …overrides}`.

    Raises ConfigError with one fault for every wrong key and value.
    """
    if not isinstance(spec, Mapping):
        raise ConfigError([Fault("config", f"is a {type(spec).__name__}", "an object")])
    try:
        return Config.model_validate(unfolded(spec))
    except ValidationError as error:
        raise ConfigError(faults_of(Config, error)) from None


def unfolded(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of `{"preset": NAME, …overrides}`, what is given laid on the preset.

    A preset may itself begin with another. Raises ConfigError for one that is unknown.
    """
    given = dict(spec)
    preset = given.pop("preset", None)
    if preset is None:
        return given
    if preset not in preset_names():
        near = difflib.get_close_matches(str(preset), preset_names(), n=1)
        fault = f"unknown preset {preset!r}"
        raise ConfigError(
            [Fault("preset", fault, ", ".join(preset_names()), near[0] if near else "")]
        )
    return laid(unfolded(read_config(PRESETS / f"{preset}.yaml")), given)


def read_config(path: Path) -> dict[str, Any]:
    """A YAML file's tree, for `load_config`. Raises ConfigError."""
    try:
        tree = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError([Fault(path.name, f"cannot be read: {error}", "a YAML file")]) from None
    if not isinstance(tree, dict):
        raise ConfigError([Fault(path.name, "holds no mapping", "keys as in `model/presets`")])
    return tree


def parse_overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """`["training.epochs=3", …]` as a tree; values are YAML. Raises ConfigError."""
    tree: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError([Fault(pair, "is not an override", "key=value")])
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError([Fault(key, f"{text!r} is not a YAML value")]) from None
        for part in reversed(key.split(".")):
            value = {part: value}
        tree = merge(tree, value)
    return tree


def validated(model: type[BaseModel], value: Any, where: str = "") -> Any:
    """`value` as a `model`, with the same faults as a configuration's. Raises ConfigError."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ConfigError(faults_of(model, error, where)) from None


def laid(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration `over` laid on `base`, as `merge` does it.

    Where another scheme is named, it begins with its own paper's values: of the base's scheme only
    those options stay that it has too and that the base sets otherwise than its scheme's paper.
    """
    ours, theirs = base.get("scheme"), over.get("scheme")
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping) and "name" in theirs:
        before, after = (_options(scheme.get("name", "okdhp")) for scheme in (ours, theirs))
        if before and after and before is not after:
            own = {name: field.default for name, field in before.model_fields.items()}
            kept = {
                key: value
                for key, value in ours.items()
                if key in after.model_fields and value != own.get(key)
            }
            base = {**base, "scheme": kept}
    return merge(base, over)


def _options(scheme: Any) -> type[BaseModel] | None:
    """The part of the tree that holds a scheme's options; None for a name that no scheme has."""
    return next((o for o in _SCHEMES if o.model_fields["name"].default == scheme), None)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`: mappings merge, all else replaces."""
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        out[key] = (
            merge(below, value)
            if isinstance(below, Mapping) and isinstance(value, Mapping)
            else value
        )
    return out
