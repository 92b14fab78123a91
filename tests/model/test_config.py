"""The configuration tree: what is accepted, and what is said of what is not."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.config import (
    Config,
    SourceConfig,
    load_config,
    merge,
    parse_overrides,
    preset_names,
    read_config,
    validated,
)
from model.errors import ConfigError, Fault

SOURCES = {"train": [{"format": "synthetic"}], "valid": [{"format": "synthetic", "seed": 1}]}
TINY = load_config({"preset": "tiny"}).model_dump(mode="json")


def faults_of(spec: object) -> tuple[Fault, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(spec)  # type: ignore[arg-type]
    return caught.value.faults


def fault_of(spec: object) -> Fault:
    (fault,) = faults_of(spec)
    return fault


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_once_it_has_data(name: str):
    """A preset that ships and does not load is found by its first user."""
    config = load_config({"preset": name, "data": SOURCES})

    assert config.data.train[0].format == "synthetic"


def test_tiny_needs_nothing_else():
    """`{"preset": "tiny"}` is a whole job on a machine without photographs."""
    config = load_config({"preset": "tiny"})

    assert {s.format for s in (*config.data.train, *config.data.valid)} == {"synthetic"}


@pytest.mark.parametrize("name", ["bundled", "paper-mpii"])
def test_a_preset_without_data_asks_for_it(name: str):
    """The folder of the photographs is the user's: nothing is guessed."""
    faults = faults_of({"preset": name})

    assert [(f.where, f.problem) for f in faults] == [
        ("data.train", "is missing"),
        ("data.valid", "is missing"),
    ]


def test_the_papers_preset_holds_the_published_values():
    """Every figure of section 4.1 and the repository, to the letter (DESIGN.md, section 2)."""
    config = load_config({"preset": "paper-mpii", "data": SOURCES})

    assert config.data.crop_px == (256, 256)
    assert config.network.width == 256
    assert config.network.depth == 4
    assert config.network.shared_stacks == 0
    assert [(b.stacks, b.width) for b in config.network.branches] == [(4, None)] * 3
    assert (config.target.sigma_cells, config.target.term) == (2.0, "mse")
    scheme = config.scheme
    assert (scheme.lambda_kd, scheme.lambda_ens, scheme.temperature) == (5.0, 6.0, 1.0)
    assert (scheme.kl_mean, scheme.detach) == ("pixels", False)
    assert config.ramp_epochs == pytest.approx(60)
    assert (scheme.fau.fields, scheme.fau.transforms, scheme.fau.hidden) == ("kernel", 3, 64)
    optim = config.optim
    assert (optim.optimizer, optim.lr, optim.weight_decay) == ("adam", 2.5e-4, 0.0)
    assert (optim.schedule, optim.milestones, optim.gamma) == ("step", (90, 120), 0.1)
    assert (config.training.epochs, config.training.batch_size) == (140, 4)
    augment = config.augment
    assert (augment.rotation_deg, augment.scale, augment.flip) == (30.0, 0.25, 0.5)
    assert config.evaluation.flip_test
    assert config.evaluation.metric == "pckh@0.5"


def test_another_scheme_keeps_what_it_shares_and_takes_the_rest_from_its_paper():
    """A fair comparison changes the scheme and nothing else."""
    config = load_config({"preset": "tiny", "scheme": {"name": "one", "lambda_ens": 2}})

    scheme = config.scheme
    assert (scheme.name, scheme.lambda_ens, scheme.lambda_kd) == ("one", 2.0, 1.0)
    assert (scheme.temperature, scheme.ramp_epochs) == (3.0, 2.0)


def test_a_rival_of_the_papers_recipe_has_its_own_papers_values():
    """OKDHP's weights are tuned for OKDHP: a rival that got them would lose for it."""
    config = load_config({"preset": "paper-mpii", "data": SOURCES, "scheme": {"name": "one"}})

    scheme = config.scheme
    assert (scheme.lambda_ens, scheme.lambda_kd, scheme.temperature) == (1.0, 1.0, 3.0)
    assert (scheme.kl_mean, scheme.detach) == ("joints", True)
    assert config.ramp_epochs == pytest.approx(140 * 80 / 300)


def test_an_option_of_another_scheme_is_refused_with_those_of_this_one():
    """`dml` has no FAU: what is said of one would be ignored in silence."""
    fault = fault_of({"preset": "tiny", "scheme": {"name": "dml", "fau": {"hidden": 8}}})

    assert (fault.where, fault.problem) == ("scheme.fau", "unknown key")
    assert fault.accepted == ("kl_mean, lambda_kd, name, ramp_epochs, temperature, weigh_by_fit")


def test_a_ramp_that_is_not_given_is_the_papers_share_of_the_run():
    """60 of 140 epochs, also where the run is shorter."""
    config = load_config(
        {"data": SOURCES, "network": {"branches": [{}, {}]}, "training": {"epochs": 14}}
    )

    assert config.scheme.ramp_epochs is None
    assert config.ramp_epochs == pytest.approx(6)


def test_overrides_are_laid_over_the_preset():
    """Mappings merge key by key; a list is one value and replaces."""
    config = load_config(
        {"preset": "tiny", "training": {"epochs": 3}, "network": {"branches": [{"stacks": 2}]}}
    )

    assert config.training.epochs == 3
    assert config.training.batch_size == TINY["training"]["batch_size"]
    assert [b.stacks for b in config.network.branches] == [2]


def test_a_preset_that_does_not_exist_names_those_that_do():
    """The nearest name is likely the one that was meant."""
    fault = fault_of({"preset": "paper_mpii"})

    assert fault == Fault(
        "preset", "unknown preset 'paper_mpii'", ", ".join(preset_names()), "paper-mpii"
    )


@pytest.mark.parametrize("spec", [None, [], "tiny", 3])
def test_what_is_no_mapping_is_refused(spec: object):
    """A posted body may be any JSON."""
    assert fault_of(spec).accepted == "an object"


@pytest.mark.parametrize("preset", [[], {}, 3, True])
def test_a_preset_that_is_no_name_is_refused(preset: object):
    """A posted body may hold any JSON."""
    assert fault_of({"preset": preset}).where == "preset"


def test_an_unknown_key_gets_its_path_what_is_accepted_and_the_nearest():
    """A typo that is swallowed costs a night of training."""
    fault = fault_of({"preset": "tiny", "training": {"epoch": 3}})

    assert fault.where == "training.epoch"
    assert fault.problem == "unknown key"
    assert "batch_size" in fault.accepted
    assert "epochs" in fault.accepted
    assert fault.nearest == "training.epochs"


def test_a_key_in_the_wrong_part_is_told_its_right_one():
    """`lr` is known, only not there."""
    fault = fault_of({"preset": "tiny", "training": {"lr": 0.1}})

    assert (fault.where, fault.nearest) == ("training.lr", "optim.lr")


def test_an_unknown_key_within_a_list_has_its_position():
    """Of several branches or sources the faulty one is named."""
    fault = fault_of({"preset": "tiny", "network": {"branches": [{}, {"stack": 2}]}})

    assert (fault.where, fault.nearest) == (
        "network.branches[1].stack",
        "network.branches[1].stacks",
    )


def test_all_faults_are_told_at_once():
    """One round trip for a form with three mistakes."""
    faults = faults_of(
        {"preset": "tiny", "training": {"epochs": 0}, "optim": {"lr": "fast"}, "speed": 3}
    )

    assert {f.where for f in faults} == {"training.epochs", "optim.lr", "speed"}


@pytest.mark.parametrize(
    ("override", "where", "accepted"),
    [
        ("training.epochs=0", "training.epochs", "greater than or equal to 1"),
        ("training.epochs=2.5", "training.epochs", "a valid integer"),
        ("training.batch_size=-1", "training.batch_size", "greater than or equal to 0"),
        ("optim.lr=.nan", "optim.lr", ""),
        ("optim.lr=.inf", "optim.lr", ""),
        ("optim.schedule=linear", "optim.schedule", "'step' or 'cosine'"),
        ("target.sigma_cells=0", "target.sigma_cells", "greater than 0"),
        ("scheme.temperature=0", "scheme.temperature", "greater than 0"),
        (
            "scheme.name=okhdp",
            "scheme.name",
            "'none', 'mean', 'okdhp', 'dml', 'one', 'okddip', 'fpd'",
        ),
        ("scheme.name=3", "scheme.name", "'okdhp'"),
        ("scheme.fau.hidden=0", "scheme.fau.hidden", "greater than or equal to 1"),
        ("augment.flip=1.5", "augment.flip", "less than or equal to 1"),
        ("network.branches=[]", "network.branches", "at least 1 item"),
        ("network.branches=[{stacks: 0}]", "network.branches[0].stacks", ""),
        ("data.train=[]", "data.train", "at least 1 item"),
        ("data.skeleton=mpii", "data.skeleton", "'mpii16'"),
        ("export.name=My Model", "export.name", "pattern"),
        ("training=fast", "training", ""),
    ],
)
def test_an_impossible_value_gets_its_path_and_what_is_accepted(
    override: str, where: str, accepted: str
):
    """The user mends it without reading our code."""
    fault = fault_of(merge({"preset": "tiny"}, parse_overrides([override])))

    assert fault.where == where
    assert accepted in fault.accepted


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["data.crop_px=[100,96]"], "[100, 96] does not fit network.depth 3"),
        (["data.crop_px=[100,96]"], "each side must be a multiple of 32"),
        (["network.depth=4"], "each side must be a multiple of 64"),
        (["data.crop_px=[16,96]"], "crop_px [16, 96]: each side must be within 32…1024"),
        (["network.width=30"], "width 30 is not a multiple of 4"),
        (["network.branches=[{width: 22}]"], "width 22 is not a multiple of 4"),
        (["network.branches=[{name: a}, {name: a}]"], "must differ, found ['a', 'a']"),
        (["network.branches=[{name: branch1}, {}]"], "branch names must differ"),
        (["target.term=mse", "evaluation.decoder=expectation"], "needs target.term `ce`"),
        (
            ["training.early_stop_epochs=2", "evaluation.every_epochs=3"],
            "accepted: 0, or evaluation.every_epochs 3 and more",
        ),
        (
            ["training.batch_size=1", "data.crop_px=[32,32]"],
            "leave batch normalisation one value at network.depth 3",
        ),
        (
            ["scheme.average_teacher=true", "training.ema_decay=0"],
            "needs training.ema_decay above 0",
        ),
        (["scheme.name=dml", "network.branches=[{}]"], "scheme.name dml needs two"),
        (["training.accumulate=32"], "cannot be split into training.accumulate 32 parts"),
        (["export.branch=third"], "'third': accepted: branch0, branch1, best, all"),
    ],
)
def test_values_that_do_not_fit_each_other_are_refused_before_training(
    overrides: list[str], told: str
):
    """Each alone is possible; together they would fail in the middle of the night."""
    spec = {"preset": "tiny", "data": {"crop_px": [96, 96]}, "network": {"depth": 3}}

    with pytest.raises(ConfigError) as caught:
        load_config(merge(spec, parse_overrides(overrides)))

    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({}, "needs either `dataset` or `format`"),
        ({"dataset": "a", "format": "lsp", "path": "/a"}, "needs either `dataset` or `format`"),
        ({"format": "lsp"}, "format lsp needs a `path`"),
        ({"format": "synthetic", "path": "/a"}, "is drawn and takes no path"),
    ],
)
def test_a_source_has_exactly_one_origin(source: dict[str, str], told: str):
    """Two origins would leave open which one the run was trained on."""
    fault = fault_of({"preset": "tiny", "data": {"train": [{"format": "synthetic"}, source]}})

    assert fault.where == "data.train[1]"
    assert told in fault.problem


@pytest.mark.parametrize("name", preset_names())
def test_a_resolved_config_comes_back_from_json_as_it_was(name: str):
    """It is stored with the run and in every checkpoint, and rebuilds the network from there."""
    spec = {"preset": name, "data": SOURCES | {"valid": [{"format": "lsp", "path": "/x/lsp"}]}}
    config = load_config(spec)

    text = json.dumps(config.model_dump(mode="json"))

    assert load_config(json.loads(text)) == config


def test_a_config_cannot_be_changed():
    """What a run is must not drift while it goes on."""
    config = load_config({"preset": "tiny"})

    with pytest.raises(ValueError, match="frozen"):
        config.training.epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("pair", "tree"),
    [
        ("training.epochs=3", {"training": {"epochs": 3}}),
        ("data.crop_px=[96, 64]", {"data": {"crop_px": [96, 64]}}),
        ("export.licence=a = b", {"export": {"licence": "a = b"}}),
        ("data.train=[{format: lsp}]", {"data": {"train": [{"format": "lsp"}]}}),
    ],
)
def test_an_override_is_a_path_and_a_yaml_value(pair: str, tree: dict[str, object]):
    """The same spelling as in a preset's file."""
    assert parse_overrides([pair]) == tree


def test_the_later_override_wins():
    """As on every command line."""
    tree = parse_overrides(["optim.lr=1", "optim.gamma=0.5", "optim.lr=2"])

    assert tree == {"optim": {"lr": 2, "gamma": 0.5}}


def test_a_power_of_ten_is_a_number():
    """YAML 1.1 reads `1e-3` as text; a learning rate is written so."""
    config = load_config(merge({"preset": "tiny"}, parse_overrides(["optim.lr=1e-3"])))

    assert config.optim.lr == 0.001


@pytest.mark.parametrize("value", ["auto", "fp32", "bf16", "fp16"])
def test_every_precision_can_be_written_bare(value: str):
    """`off` and `no` would be booleans to YAML."""
    config = load_config(merge({"preset": "tiny"}, parse_overrides([f"training.amp={value}"])))

    assert config.training.amp == value


@pytest.mark.parametrize("pair", ["epochs", "=3", "", "a=[1"])
def test_what_is_no_override_is_refused(pair: str):
    """A forgotten `=` must not start a training with the default."""
    with pytest.raises(ConfigError):
        parse_overrides([pair])


def test_a_yaml_file_is_a_spec(tmp_path: Path):
    """A run's own `config.yaml` starts it again."""
    file = tmp_path / "train.yaml"
    file.write_text("preset: tiny\ntraining: {epochs: 2}\n")

    assert load_config(read_config(file)).training.epochs == 2


@pytest.mark.parametrize("text", [b"- a\n", b"a: [", b"\xff\xfe\x00", b""])
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, text: bytes):
    """The name alone: no folder of the machine."""
    file = tmp_path / "train.yaml"
    file.write_bytes(text)

    with pytest.raises(ConfigError) as caught:
        read_config(file)

    assert caught.value.faults[0].where == "train.yaml"


def test_registered_names_become_formats_and_paths():
    """A worker knows the data sets' places; the config in the run folder then says them."""
    config = load_config(
        {"preset": "tiny", "data": {"train": [{"dataset": "ours", "split": "a", "people": 5}]}}
    )

    resolved = config.with_sources({"ours": ("lsp", Path("/data/lsp"))}.__getitem__)

    assert resolved.data.train == (
        SourceConfig(format="lsp", path=Path("/data/lsp"), split="a", people=5),
    )
    assert resolved.data.valid == config.data.valid
    assert Config.model_validate(resolved.model_dump()) == resolved


def test_for_strangers_only_last_names_are_left():
    """Where photographs, teachers and beginnings lie is the machine's own affair."""
    folder = "/home/grace/photos"
    config = load_config(
        TINY
        | {
            "data": TINY["data"]
            | {
                "train": [{"format": "lsp", "path": f"{folder}/lsp"}, {"dataset": "ours"}],
                "weights": f"{folder}/audit/weights.npz",
            },
            "training": {"init": "s3://key@host/grace/student.onnx?token=1"},
            "scheme": {"name": "fpd", "teacher": "/home/grace/runs/big/checkpoints/best.pt"},
        }
    )

    told = config.without_paths()

    assert told.data.train[0] == SourceConfig(format="lsp", path=Path("lsp"))
    assert told.data.train[1:] == config.data.train[1:]
    assert told.data.weights == "weights.npz"
    assert told.training.init == "student.onnx"
    assert told.scheme.teacher == "big/checkpoints/best.pt"
    assert "grace" not in told.model_dump_json()
    assert load_config({"preset": "tiny"}).without_paths() == load_config({"preset": "tiny"})


def test_a_part_is_checked_with_the_same_words():
    """The evaluate job posts a source alone."""
    with pytest.raises(ConfigError) as caught:
        validated(SourceConfig, {"format": "lsp", "path": "/a", "pat": 1}, "data")

    (fault,) = caught.value.faults
    assert (fault.where, fault.problem, fault.nearest) == ("data.pat", "unknown key", "data.path")


def paths_of(tree: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a tree of dicts and lists."""
    inner = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    return [path, *(p for key, value in inner for p in paths_of(value, (*path, key)))]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(path=st.sampled_from(paths_of(TINY)), value=json_values)
def test_any_json_in_any_place_is_a_config_or_named_faults(
    path: tuple[str | int, ...], value: object
):
    """Whatever is posted: never an exception of pydantic's, Python's or YAML's."""
    tree: object = value
    if path:
        tree = here = copy.deepcopy(TINY)
        for part in path[:-1]:
            here = here[part]
        here[path[-1]] = value

    try:
        load_config(tree)  # type: ignore[arg-type]
    except ConfigError as error:
        assert all(fault.where and fault.problem for fault in error.faults)
        assert error.faults
