"""What pydantic finds wrong, in our words: path, what was found, what is accepted."""

import difflib
from collections.abc import Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from model.config.tree import Config
from model.errors import Fault

UNKNOWN_KEY: Final = "unknown key"


def faults_of(model: type[BaseModel], error: ValidationError, prefix: str = "") -> list[Fault]:
    """Every fault once: a list that is empty only because its items were faulty is not one."""
    errors = error.errors()
    places = [e["loc"] for e in errors]

    def follows(e: Any) -> bool:
        at = e["loc"]
        return e["type"] == "too_short" and any(
            len(p) > len(at) and p[: len(at)] == at for p in places
        )

    return [_fault(model, e, prefix) for e in errors if not follows(e)]


def _fault(model: type[BaseModel], error: Any, prefix: str = "") -> Fault:
    """One of pydantic's errors in our words."""
    where, keys = _place(model, error["loc"], prefix)
    kind = error["type"]
    if kind == "extra_forbidden":
        key = str(error["loc"][-1])
        near = difflib.get_close_matches(key, keys, n=1, cutoff=0.4)
        beside = where[: len(where) - len(key)] + near[0] if near else ""
        nearest = _paths().get(key, beside)  # the right key in a wrong place comes first
        return Fault(where, UNKNOWN_KEY, ", ".join(keys), nearest if nearest != where else "")
    if kind == "union_tag_invalid":
        tag, accepted = error["ctx"]["tag"], error["ctx"]["expected_tags"]
        near = difflib.get_close_matches(tag, accepted.replace("'", "").split(", "), n=1)
        return Fault(f"{where}.name", f"found {tag!r}", accepted, near[0] if near else "")
    found = _brief(error.get("input"))
    if kind == "missing":
        return Fault(where, "is missing")
    if kind == "value_error":
        return Fault(where or "config", str(error["ctx"]["error"]))
    accepted = error["msg"].removeprefix("Input should be ")
    return Fault(where, f"found {found}", accepted)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _place(model: type[BaseModel], at: Sequence[str | int], prefix: str) -> tuple[str, list[str]]:
    """The path of an error, as a person writes it, and the keys that are accepted there."""
    path, here, keys = prefix, [model], sorted(model.model_fields)
    for part in at:
        if isinstance(part, int):
            path += f"[{part}]"
        elif len(here) > 1:
            # Of a choice of parts pydantic puts the chosen one's name into the path; nobody else.
            here = [option for option in here if option.model_fields["name"].default == part]
        else:
            path += f".{part}" if path else part
            fields = here[0].model_fields if here else {}
            keys = sorted(fields)
            here = parts_in(fields[part].annotation) if part in fields else []
    return path, keys


def parts_in(annotation: Any) -> list[type[BaseModel]]:
    """The parts inside an annotation such as `tuple[BranchConfig, ...]` or `A | B`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [part for inner in get_args(annotation) for part in parts_in(inner)]


def _paths() -> dict[str, str]:
    """Every key of the tree with its path."""
    paths: dict[str, str] = {}

    def walk(part: type[BaseModel], path: str) -> None:
        for name, info in part.model_fields.items():
            here = f"{path}.{name}" if path else name
            paths.setdefault(name, here)
            for below in parts_in(info.annotation):
                walk(below, here)

    walk(Config, "")
    return paths
