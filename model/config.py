"""The whole of a run's configuration: one tree of frozen models with units and bounds.

A preset is a YAML file of this tree; overrides are merged over it. The same schema checks the API,
and its resolved form is stored with every run and rebuilds the network from the checkpoint alone.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.errors import ConfigError, Fault
from model.geometry import STRIDE

PRESETS: Final = Path(__file__).with_name("presets")

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SourceConfig(_Part):
    """One set of labelled people."""

    dataset: str | None = Field(None, description="name of a registered data set")
    format: Literal["lsp", "mpii", "coco", "synthetic"] | None = None
    path: Path | None = Field(None, description="folder of the set; not for `synthetic`")
    split: str | None = Field(None, description="part of the set, as `train` or `valid`")
    people: int | None = Field(
        None, ge=1, le=10_000_000, description="at most so many; of `synthetic`, how many are drawn"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of `synthetic`")
    size_px: int = Field(192, ge=64, le=1024, description="side of the pictures of `synthetic`")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.dataset is None) == (self.format is None):
            raise ValueError("needs either `dataset` or `format`")
        if self.format == "synthetic" and self.path is not None:
            raise ValueError("`synthetic` is drawn and takes no path")
        if self.format not in (None, "synthetic") and self.path is None:
            raise ValueError(f"format {self.format} needs a `path`")
        return self


class DataConfig(_Part):
    """What is learnt from, and how a person is cut out."""

    skeleton: Literal["mpii16", "coco17", "lsp14", "source"] = Field(
        "mpii16", description="`source`: that of the first training set, as a COCO file's category"
    )
    crop_px: tuple[int, int] = Field((128, 128), description="the network's input (height, width)")
    padding: float = Field(
        0.25, ge=0, le=2, description="room round the box, a fraction of its side, at each side"
    )
    train: tuple[SourceConfig, ...] = Field(min_length=1)
    valid: tuple[SourceConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if not all(32 <= side <= 1024 for side in self.crop_px):
            raise ValueError(f"crop_px {list(self.crop_px)}: each side must be within 32…1024")
        return self


class AugmentConfig(_Part):
    """How training crops vary; all of it on the training device."""

    rotation_deg: float = Field(30, ge=0, le=180)
    rotation_share: Fraction = Field(1.0, description="share of the crops that are turned at all")
    scale: float = Field(0.25, ge=0, lt=1, description="zoom is drawn within 1 ± this")
    shift: float = Field(0.0, ge=0, le=0.5, description="of the crop's side, each way")
    flip: Fraction = 0.5
    colour: float = Field(0.2, ge=0, le=1, description="strength of brightness, contrast and tint")
    half_body: Fraction = Field(0.0, description="share of crops on the upper or lower body only")


class BranchConfig(_Part):
    """One student."""

    name: str | None = Field(None, pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    stacks: int = Field(1, ge=1, le=16)
    width: int | None = Field(None, ge=8, le=1024, description="channels; the network's by default")


class NetworkConfig(_Part):
    """The multi-branch hourglass (DESIGN.md, section 2)."""

    width: int = Field(256, ge=8, le=1024, description="channels of the stem's features")
    depth: int = Field(4, ge=1, le=6, description="how often an hourglass halves its map")
    shared_stacks: int = Field(0, ge=0, le=16)
    branches: tuple[BranchConfig, ...] = Field(min_length=1, max_length=8)

    @model_validator(mode="after")
    def _even_widths(self) -> Self:
        for width in (self.width, *(b.width for b in self.branches if b.width)):
            if width % 4:
                raise ValueError(f"width {width} is not a multiple of 4")
        names = self.branch_names
        if len(set(names)) != len(names):
            raise ValueError(f"branch names must differ, found {list(names)}")
        return self

    @property
    def branch_names(self) -> tuple[str, ...]:
        return tuple(b.name or f"branch{i}" for i, b in enumerate(self.branches))


class TargetConfig(_Part):
    """The label's term."""

    sigma_cells: float = Field(2.0, gt=0, le=16, description="of the Gaussian, in heatmap cells")
    term: Literal["mse", "ce"] = Field(
        "mse",
        description="`mse`: maps are Gaussians of height 1; `ce`: logits of a distribution",
    )


class FauConfig(_Part):
    """The Feature Aggregation Unit."""

    fields: Literal["kernel", "dilation"] = Field(
        "kernel", description="receptive fields grow by kernel (3, 5, 7) or dilation (1, 2, 3)"
    )
    transforms: int = Field(3, ge=1, le=5, description="M, independent of the branches' number")
    hidden: int = Field(64, ge=1, le=1024)


class SchemeConfig(_Part):
    """How the branches teach each other."""

    name: Literal["okdhp", "none"] = "okdhp"
    lambda_ens: NotNegative = Field(6.0, description="weight of the ensemble's own label term")
    lambda_kd: NotNegative = Field(5.0, description="weight of the KL to the ensemble")
    temperature: float = Field(1.0, gt=0, le=100)
    ramp_epochs: NotNegative = Field(60.0, description="L of the KL's ramp-up; 0 for none")
    kl_mean: Literal["pixels", "joints"] = Field(
        "pixels",
        description="`pixels`: summed over joints, divided by N·h·w as published; "
        "`joints`: mean over labelled joints",
    )
    detach: bool = Field(False, description="whether the target takes no gradient from the KL")
    fau: FauConfig = FauConfig()


class OptimConfig(_Part):
    optimizer: Literal["adam", "adamw"] = "adam"
    lr: float = Field(2.5e-4, gt=0, le=1)
    weight_decay: float = Field(0.0, ge=0, le=1)
    schedule: Literal["step", "cosine"] = "step"
    milestones: tuple[Positive, ...] = Field((90, 120), description="epochs of `step`'s drops")
    gamma: float = Field(0.1, gt=0, le=1, description="factor of `step`'s drops")
    warmup_epochs: NotNegative = 0.0
    clip_norm: NotNegative = Field(0.0, description="largest gradient norm; 0 for no clipping")


class TrainingConfig(_Part):
    epochs: int = Field(140, ge=1, le=100_000)
    batch_size: int = Field(4, ge=1, le=8192)
    seed: int = Field(0, ge=0, lt=2**32)
    amp: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto: bf16 where the device multiplies it in hardware, else fp32"
    )
    ema_decay: float = Field(0.0, ge=0, lt=1, description="0 for none")
    early_stop_epochs: int = Field(
        0, ge=0, description="epochs without a better score; 0 for never"
    )
    checkpoint_s: Positive = Field(
        300.0, description="a checkpoint within an epoch after so many seconds"
    )


class EvaluationConfig(_Part):
    decoder: Literal["quarter", "dark", "expectation"] = Field(
        "dark", description="how a map becomes a point; exported with the student"
    )
    flip_test: bool = False
    metric: Literal["pck@0.2", "pckh@0.5", "AP"] = Field("pck@0.2", description="chooses the best")
    every_epochs: int = Field(1, ge=1)


class ExportConfig(_Part):
    name: str = Field("student", pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="in the registry")
    branch: str = Field("best", description="a branch's name, `best` or `all`")
    licence: str = Field("the terms of the training data apply", max_length=500)


class Config(_Part):
    """A run, resolved: every value is here."""

    data: DataConfig
    augment: AugmentConfig = AugmentConfig()
    network: NetworkConfig
    target: TargetConfig = TargetConfig()
    scheme: SchemeConfig = SchemeConfig()
    optim: OptimConfig = OptimConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    export: ExportConfig = ExportConfig()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        step = STRIDE * 2**self.network.depth
        if any(side % step for side in self.data.crop_px):
            raise ValueError(
                f"data.crop_px {list(self.data.crop_px)} does not fit network.depth "
                f"{self.network.depth}: each side must be a multiple of {step}"
            )
        if self.training.batch_size == 1 and all(side == step for side in self.data.crop_px):
            raise ValueError(
                f"training.batch_size 1 and data.crop_px {list(self.data.crop_px)} leave batch "
                f"normalisation one value at network.depth {self.network.depth}: "
                "accepted: a larger batch or crop"
            )
        if self.target.term == "mse" and self.evaluation.decoder == "expectation":
            raise ValueError("evaluation.decoder `expectation` needs target.term `ce`")
        patience, every = self.training.early_stop_epochs, self.evaluation.every_epochs
        if 0 < patience < every:
            raise ValueError(
                f"training.early_stop_epochs {patience} ends a run before it is first judged: "
                f"accepted: 0, or evaluation.every_epochs {every} and more"
            )
        names = (*self.network.branch_names, "best", "all")
        if self.export.branch not in names:
            raise ValueError(f"export.branch {self.export.branch!r}: accepted: {', '.join(names)}")
        return self

    def with_sources(self, lookup: Callable[[str], tuple[str, Path]]) -> Self:
        """The same run with every `dataset` replaced by its (format, path)."""

        def found(source: SourceConfig) -> SourceConfig:
            if source.dataset is None:
                return source
            format_, path = lookup(source.dataset)
            return SourceConfig.model_validate(
                source.model_dump() | {"dataset": None, "format": format_, "path": path}
            )

        data = self.data.model_copy(
            update={
                "train": tuple(map(found, self.data.train)),
                "valid": tuple(map(found, self.data.valid)),
            }
        )
        return self.model_copy(update={"data": data})


def preset_names() -> list[str]:
    """The presets that ship."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def load_config(spec: Mapping[str, Any]) -> Config:
    """The configuration of `{"preset": NAME, …overrides}`; mappings merge, lists replace.

    Raises ConfigError with one fault for every wrong key and value.
    """
    if not isinstance(spec, Mapping):
        raise ConfigError([Fault("config", f"is a {type(spec).__name__}", "an object")])
    given = dict(spec)
    preset = given.pop("preset", None)
    base: dict[str, Any] = {}
    if preset is not None:
        if preset not in preset_names():
            near = difflib.get_close_matches(str(preset), preset_names(), n=1)
            raise ConfigError(
                [
                    Fault(
                        "preset",
                        f"unknown preset {preset!r}",
                        ", ".join(preset_names()),
                        near[0] if near else "",
                    )
                ]
            )
        base = yaml.safe_load((PRESETS / f"{preset}.yaml").read_text("utf-8"))
    try:
        return Config.model_validate(merge(base, given))
    except ValidationError as error:
        raise ConfigError(_faults(Config, error)) from None


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
        raise ConfigError(_faults(model, error, where)) from None


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


def _faults(model: type[BaseModel], error: ValidationError, prefix: str = "") -> list[Fault]:
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
    where = prefix
    for part in error["loc"]:
        if isinstance(part, int):
            where += f"[{part}]"
        else:
            where += f".{part}" if where else str(part)
    kind = error["type"]
    if kind == "extra_forbidden":
        *parents, key = error["loc"]
        keys = _keys_at(model, parents)
        near = difflib.get_close_matches(str(key), keys, n=1, cutoff=0.4)
        beside = where[: len(where) - len(str(key))] + near[0] if near else ""
        nearest = _paths().get(str(key), beside)  # the right key in a wrong place comes first
        return Fault(where, "unknown key", ", ".join(keys), nearest)
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


def _keys_at(model: type[BaseModel], parents: Sequence[str | int]) -> list[str]:
    """The keys that the tree accepts below `parents`."""
    here: Any = model
    for part in parents:
        if isinstance(part, int):
            continue
        here = _part_in(here.model_fields[part].annotation)
    return sorted(here.model_fields)


def _part_in(annotation: Any) -> Any:
    """The `_Part` inside an annotation such as `tuple[BranchConfig, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(part for arg in get_args(annotation) if (part := _part_in(arg)))


def _paths() -> dict[str, str]:
    """Every key of the tree with its path."""
    paths: dict[str, str] = {}

    def walk(part: type[BaseModel], path: str) -> None:
        for name, info in part.model_fields.items():
            here = f"{path}.{name}" if path else name
            paths.setdefault(name, here)
            if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
                walk(info.annotation, here)

    walk(Config, "")
    return paths
