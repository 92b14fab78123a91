"""A run from its configuration to its folder: what is written, told and refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from PIL import Image

from model.config import load_config
from model.data.mixture import open_source
from model.data.packing import exact_crops
from model.data.synthetic import draw_people
from model.errors import CheckpointUnusable, ConfigError, DatasetError
from model.evaluation import measure, on_images, summary
from model.skeletons import LSP14, MPII16
from model.training.run import train
from model.training.state.checkpoints import load_judged


class PowerCut(Exception):
    """What no code of ours expects."""


def after(steps: int) -> Callable[[], bool]:
    """A `stop` that lets so many steps pass."""
    left = iter(range(steps))
    return lambda: next(left, None) is None


def events_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def as_json(value: object) -> Any:
    return json.loads(json.dumps(value))


# A finished run


def test_a_run_folder_holds_all_that_is_promised(finished_run):
    """What the worker uploads and a person looks for; nothing half written beside it."""
    files = {
        str(path.relative_to(finished_run.folder))
        for path in finished_run.folder.rglob("*")
        if path.is_file()
    }

    assert files == {
        "config.yaml",
        "manifest.json",
        "events.jsonl",
        "metrics.json",
        "curves.png",
        "predictions.png",
        "checkpoints/last.pt",
        "checkpoints/best.pt",
        "students/wide.onnx",
        "students/wide.receipt.json",
        "students/slim.onnx",
        "students/slim.receipt.json",
    }


def test_the_synthetic_set_is_learnt_far_above_chance(finished_run):
    """150 steps: more than twice what the mean pose of the training people scores.

    Chance is that pose, not a random pixel: it knows where heads and feet tend to be.
    """
    config = finished_run.config
    crop_px, padding = config.data.crop_px, config.data.padding
    train_set, valid_set = (open_source(s) for s in (config.data.train[0], config.data.valid[0]))
    _, ways = exact_crops(train_set.people, crop_px, padding)
    points = np.stack(
        [w.from_image(p.joints_img[:, :2]) for p, w in zip(train_set.people, ways, strict=True)]
    )
    labelled = np.stack([p.labelled for p in train_set.people])[..., None]
    mean_pose = (points * labelled).sum(0) / labelled.sum(0)
    _, ways = exact_crops(valid_set.people, crop_px, padding)
    guess = np.tile(np.c_[mean_pose, np.ones(len(mean_pose))], (len(ways), 1, 1))
    chance = summary(measure(on_images(guess, ways), MPII16, valid_set))["pck@0.2"]

    (result,) = finished_run.outcome.metrics["valid"].values()
    scores = {who: result[who]["pck@0.2"]["mean"] for who in ("wide", "slim", "ensemble")}

    assert chance < 10
    assert min(scores.values()) > 2 * chance


def test_the_config_in_the_folder_starts_the_run_again(finished_run):
    """Every value is in it, whatever a preset will be tomorrow."""
    tree = yaml.safe_load((finished_run.folder / "config.yaml").read_text())

    assert load_config(tree) == finished_run.config


def test_the_manifest_says_what_it_takes_to_do_it_again(finished_run):
    """Code, packages, device, seed and the data's fingerprints."""
    manifest = json.loads((finished_run.folder / "manifest.json").read_text())

    assert manifest["code"].startswith("0.1.0 (")
    assert manifest["packages"]["torch"] == torch.__version__
    assert manifest["seed"] == finished_run.config.training.seed
    assert manifest["device"].startswith("cpu")
    (learnt,) = manifest["train"]["sets"]
    assert (learnt["name"], learnt["people"]) == ("synthetic", 400)
    assert len(learnt["fingerprint"]) == 64
    assert len(manifest["train"]["fingerprint"]) == 64
    assert manifest["train"]["fingerprint"] != manifest["valid"]["fingerprint"]


def test_events_are_numbered_and_tell_the_run_in_its_order(finished_run):
    """The listener hears the same that is written."""
    events = finished_run.events

    assert events == as_json(finished_run.told)
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    kinds = [e["kind"] for e in events if e["kind"] not in ("log", "progress")]
    assert kinds == [
        "started",
        *["epoch", "checkpoint"] * 6,
        "evaluating",
        *["artifact"] * 5,
        *["picture"] * 2,
        "finished",
    ]


def test_the_start_is_told_with_what_a_progress_bar_needs(finished_run):
    """Sizes, device and where it starts."""
    started = next(e for e in finished_run.events if e["kind"] == "started")

    assert started["epochs"] == 6
    assert started["epoch"] == 0
    assert started["steps_per_epoch"] == 400 // 16
    assert (started["train_people"], started["valid_people"]) == (400, 60)
    assert started["device"] == "cpu"
    assert started["parameters"] > 10_000


def test_every_epoch_tells_loss_branches_and_ensemble(finished_run):
    """One entry an epoch, all of a form: a chart needs no special case."""
    epochs = [e for e in finished_run.events if e["kind"] == "epoch"]

    assert [e["epoch"] for e in epochs] == [1, 2, 3, 4, 5, 6]
    for epoch in epochs:
        assert list(epoch["loss"]) == ["total", "label", "ensemble", "distill"]
        assert list(epoch["branches"]) == ["wide", "slim"]
        assert epoch["ensemble"].keys() == epoch["branches"]["wide"].keys()
        assert {"pck@0.2", "pckh@0.5", "pckh@0.1"} == epoch["ensemble"].keys()
        assert epoch["images_per_s"] > 0
    assert epochs[-1]["loss"]["label"] < epochs[0]["loss"]["label"]


def test_progress_tells_how_far_it_is(finished_run):
    """About one a second; steps count over the whole run."""
    progress = [e for e in finished_run.events if e["kind"] == "progress"]

    assert progress
    steps = [e["step"] for e in progress]
    assert steps == sorted(set(steps))
    for event in progress:
        assert event["steps"] == 150
        assert (event["step"] - 1) // 25 + 1 == event["epoch"]
        assert event["seconds_left"] >= 0
        assert event["loss"]["total"] > 0


def test_every_file_that_is_told_is_there(finished_run):
    """Paths are relative to the folder: the supervisor uploads them."""
    told = [e["path"] for e in finished_run.events if "path" in e]

    assert {"curves.png", "students/slim.onnx", "checkpoints/last.pt"} <= set(told)
    assert all((finished_run.folder / path).is_file() for path in told)


def test_the_metrics_are_told_written_and_returned_alike(finished_run):
    """Three readers, one truth."""
    written = json.loads((finished_run.folder / "metrics.json").read_text())

    assert written == as_json(finished_run.outcome.metrics)
    assert written == finished_run.events[-1]["metrics"]
    assert finished_run.outcome.state == "finished"


def test_the_metrics_tell_what_the_training_took(finished_run):
    """Of steps alone, so that schemes can be compared by it; judging and exporting are no part."""
    spent = finished_run.outcome.metrics["training"]
    epochs = [event for event in finished_run.events if event["kind"] == "epoch"]

    assert spent["images"] == 6 * 25 * 16
    assert spent["seconds"] == pytest.approx(sum(e["seconds"] for e in epochs), abs=0.01)
    assert spent["data_s"] == pytest.approx(sum(e["data_s"] for e in epochs), abs=0.01)
    assert spent["cpu_seconds"] > 0
    assert spent["device"].startswith("cpu, ")


def test_the_best_is_the_best_branch_of_the_best_epoch(finished_run):
    """A branch, never the ensemble: that is not deployed."""
    epochs = [e for e in finished_run.events if e["kind"] == "epoch"]
    scores = {
        (e["epoch"], name): values["pck@0.2"]
        for e in epochs
        for name, values in e["branches"].items()
    }
    best = finished_run.outcome.metrics["best"]

    assert best["metric"] == "pck@0.2"
    assert best["score"] == max(scores.values())
    assert scores[best["epoch"], best["branch"]] == best["score"]


def test_the_final_metrics_are_those_of_the_best_epoch(finished_run):
    """Evaluated again from `best.pt`, with the protocol beside them."""
    best = finished_run.outcome.metrics["best"]
    ((name, result),) = finished_run.outcome.metrics["valid"].items()

    assert name == "synthetic"
    assert result[best["branch"]]["pck@0.2"]["mean"] == pytest.approx(best["score"], abs=1e-3)
    assert result["protocol"]["flip_test"] is False
    assert result["protocol"]["crop_px"] == [96, 64]
    assert result["protocol"]["decoder"] == "dark"


def test_the_students_are_as_unbalanced_as_asked(finished_run):
    """Two sizes from one run."""
    wide, slim = (finished_run.student(name).stat().st_size for name in ("wide", "slim"))

    assert slim < wide


def test_the_pictures_can_be_looked_at(finished_run):
    """Truth beside prediction, and the curves."""
    for name in ("predictions.png", "curves.png"):
        with Image.open(finished_run.folder / name) as image:
            assert np.asarray(image.convert("L")).std() > 5


def test_the_checkpoint_alone_knows_the_run(finished_run):
    """Config, skeleton and weights come out of `best.pt`."""
    config, skeleton, learner = load_judged(
        finished_run.folder / "checkpoints" / "best.pt", torch.device("cpu")
    )

    assert (config, skeleton) == (finished_run.config, MPII16)
    assert learner.network.names == ("wide", "slim")


# How a run ends before its end


def test_a_stop_saves_and_can_be_gone_on_from(make_config, tmp_path: Path):
    """SIGTERM from a supervisor: the last thing told is the checkpoint."""
    outcome = train(make_config(), tmp_path, stop=after(3), device="cpu")

    assert outcome.state == "stopped"
    assert outcome.metrics == {}
    *_, last = events_of(tmp_path)
    assert (last["kind"], last["path"]) == ("checkpoint", "checkpoints/last.pt")


def test_numbers_of_events_go_on_through_resumes(make_config, tmp_path: Path):
    """No gap and no repeat; the second start says at which epoch it is."""
    train(make_config(), tmp_path, stop=after(5), device="cpu")
    train(make_config(), tmp_path, stop=after(2), resume=True, device="cpu")

    events = events_of(tmp_path)
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert [e["epoch"] for e in events if e["kind"] == "started"] == [0, 2]
    assert [e["epoch"] for e in events if e["kind"] == "epoch"] == [1, 2, 3]


def test_a_run_without_progress_stops_early(make_config, tmp_path: Path):
    """And does not go on when it is resumed in its evaluation."""
    config = make_config("training.epochs=60", "training.early_stop_epochs=1")

    def cut_power(event: dict[str, Any]) -> None:
        if event["kind"] == "evaluating":
            raise PowerCut

    for resume in (False, True):
        with pytest.raises(PowerCut):
            train(config, tmp_path, resume=resume, device="cpu", listen=cut_power)

    events = events_of(tmp_path)
    epochs = [e for e in events if e["kind"] == "epoch"]
    scores = [max(b["pck@0.2"] for b in e["branches"].values()) for e in epochs]
    assert 2 <= len(epochs) < 60
    assert scores[-1] <= max(scores[:-1])
    assert [e["epoch"] for e in epochs] == list(range(1, len(epochs) + 1))
    assert any("stopped early" in e["message"] for e in events if e["kind"] == "log")


def test_a_run_cut_in_its_evaluation_finishes_when_resumed(make_config, tmp_path: Path):
    """No epoch is trained again; the results are made from `best.pt`."""
    config = make_config("training.epochs=1", "export.branch=pico", "network.depth=1")

    def cut_power(event: dict[str, Any]) -> None:
        if event["kind"] == "evaluating":
            raise PowerCut

    with pytest.raises(PowerCut):
        train(config, tmp_path, device="cpu", listen=cut_power)
    outcome = train(config, tmp_path, resume=True, device="cpu")

    assert outcome.state == "finished"
    assert [e["epoch"] for e in events_of(tmp_path) if e["kind"] == "epoch"] == [1]
    assert list(outcome.metrics["students"]) == ["pico"]
    assert onnx.load(tmp_path / "students" / "pico.onnx").graph.output[0].name == "keypoints"


def test_judging_every_other_epoch_still_judges_the_last(make_config, tmp_path: Path):
    """On a large validation set each judgement costs; the last one decides."""
    config = make_config("evaluation.every_epochs=2", "training.epochs=3")

    def cut_power(event: dict[str, Any]) -> None:
        if event["kind"] == "evaluating":
            raise PowerCut

    with pytest.raises(PowerCut):
        train(config, tmp_path, device="cpu", listen=cut_power)

    epochs = [e for e in events_of(tmp_path) if e["kind"] == "epoch"]
    assert ["branches" in e for e in epochs] == [False, True, True]


# What is refused


def test_another_runs_folder_is_not_written_over(make_config, tmp_path: Path):
    """A night's work must not vanish by a forgotten `--resume`."""
    train(make_config(), tmp_path, stop=after(0), device="cpu")
    before = (tmp_path / "events.jsonl").read_bytes()

    with pytest.raises(ConfigError, match="another folder, or resume it"):
        train(make_config(), tmp_path, device="cpu")

    assert (tmp_path / "events.jsonl").read_bytes() == before


def test_nothing_cannot_be_resumed(make_config, tmp_path: Path):
    """Likely a mistyped path: a new training in it would be a surprise."""
    with pytest.raises(CheckpointUnusable, match="there is nothing to resume"):
        train(make_config(), tmp_path / "nowhere", resume=True, device="cpu")

    assert not (tmp_path / "nowhere").exists()


def test_a_resume_with_another_network_names_what_differs(make_config, tmp_path: Path):
    """Half of one run and half of another is neither."""
    train(make_config(), tmp_path, stop=after(1), device="cpu")

    with pytest.raises(CheckpointUnusable, match=r"another configuration: network\.width"):
        train(make_config("network.width=12"), tmp_path, resume=True, device="cpu")


def test_a_resume_from_a_damaged_checkpoint_says_so(make_config, tmp_path: Path):
    """It does not silently start at epoch 0."""
    train(make_config(), tmp_path, stop=after(1), device="cpu")
    (tmp_path / "checkpoints" / "last.pt").write_bytes(b"\0" * 100)

    with pytest.raises(CheckpointUnusable, match=r"last\.pt is damaged"):
        train(make_config(), tmp_path, resume=True, device="cpu")


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "", "cpu:x"])
def test_a_device_that_is_not_here_is_refused(make_config, tmp_path: Path, device: str):
    """Before an hour of cutting out people."""
    with pytest.raises(ConfigError, match="accepted: auto, cpu, cuda:0"):
        train(make_config(), tmp_path, device=device)


def test_a_data_set_that_is_not_there_is_named(make_config, tmp_path: Path):
    """Not a traceback of a reader."""
    config = make_config(f"data.train=[{{format: lsp, path: {tmp_path}/nowhere}}]")

    with pytest.raises(DatasetError, match="nowhere"):
        train(config, tmp_path / "run", device="cpu")


def test_a_start_that_was_refused_leaves_its_folder_free(make_config, tmp_path: Path):
    """The next try, with the data that was meant, goes to the same `--out`."""
    with pytest.raises(DatasetError):
        train(make_config(f"data.train=[{{format: lsp, path: {tmp_path}/no}}]"), tmp_path / "run")

    outcome = train(make_config(), tmp_path / "run", stop=after(0), device="cpu")

    assert outcome.state == "stopped"


def test_a_metric_that_the_data_cannot_give_is_refused(make_config, tmp_path: Path):
    """Drawn people have no areas, so no AP could choose the best."""
    config = make_config("evaluation.metric=AP", "training.epochs=1")

    with pytest.raises(ConfigError) as caught:
        train(config, tmp_path, device="cpu")

    (fault,) = caught.value.faults
    assert fault.where == "evaluation.metric"
    assert fault.accepted == "pck@0.2, pckh@0.5, pckh@0.1"


# Data of one's own


def test_a_custom_skeleton_from_a_coco_file_is_trained(make_config, write_coco, tmp_path: Path):
    """`data.skeleton: source`: any number of joints, their own names, sigmas and mirror."""
    people = draw_people(4, seed=1, size_px=64, skeleton=LSP14)
    write_coco(tmp_path / "climbers", people, LSP14, name="climber", sigmas=[0.05] * 14)
    source = f"[{{format: coco, path: {tmp_path}/climbers}}]"
    config = make_config("data.skeleton=source", f"data.train={source}", f"data.valid={source}")

    train(config, tmp_path / "run", stop=after(1), device="cpu")

    state = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)
    assert state["progress"]["step"] == 1
    assert state["skeleton"]["name"] == "climber"
    assert state["skeleton"]["joints"] == list(LSP14.joints)
    assert state["learner"]["network.branches.0.stacks.0.score.weight"].shape[0] == 14


def test_sets_of_other_joints_are_trained_together(make_config, write_coco, tmp_path: Path):
    """LSP's people have no pelvis: drawn ones teach it, nobody is dropped."""
    people = draw_people(4, seed=1, size_px=64, skeleton=LSP14)
    write_coco(tmp_path / "few", people, LSP14)
    few, drawn = f"{{format: coco, path: {tmp_path}/few}}", "{format: synthetic, people: 4}"
    config = make_config(f"data.train=[{few}, {drawn}]")

    train(config, tmp_path / "run", stop=after(3), device="cpu")

    started = next(e for e in events_of(tmp_path / "run") if e["kind"] == "started")
    assert started["train_people"] == 8


def test_cut_out_people_are_kept_for_the_next_run(make_config, tmp_path: Path):
    """The same data and crop are cut out once, and the second run is the same to the bit."""
    runs = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    for folder, cache in zip(runs, (tmp_path / "cache", tmp_path / "cache", None), strict=True):
        train(make_config(), folder, stop=after(2), device="cpu", cache=cache)

    assert len(list((tmp_path / "cache").iterdir())) == 1
    first, *others = (
        torch.load(f / "checkpoints" / "last.pt", weights_only=True)["learner"] for f in runs
    )
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first)
