"""A whole audit with a real run: the folder that it leaves, and who is asked about whom."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.audit.audit import Judge, audit, judge_of
from model.audit.findings import Findings
from model.audit.picture import grid, worst_people
from model.audit.report import COLUMNS, ranked, write_table
from model.audit.verdict import FINE, SUSPECT
from model.audit.witnesses import Run
from model.config import SourceConfig
from model.data.label_weights import LabelWeights
from model.data.synthetic import draw_people
from model.errors import ConfigError
from model.skeletons import LSP14, MPII16
from model.training.start.people import open_people
from model.training.state.session import Session

CPU = torch.device("cpu")
PLANTED = 12
"""So many people have their head top put into a corner."""


@pytest.fixture(scope="module")
def planted(write_coco, tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    """People whom no run has learnt from, the first of them with a wrong label."""
    people = draw_people(48, seed=5, size_px=96)
    head = MPII16.index("head_top")
    for i in range(PLANTED):
        joints = people[i].joints_img.copy()
        joints[head] = (2, 93, 1) if joints[head, 0] > 48 else (93, 93, 1)
        people[i] = replace(people[i], joints_img=joints)
    folder = tmp_path_factory.mktemp("planted") / "set"
    write_coco(folder, people, MPII16, sigmas=list(MPII16.sigmas))
    return SourceConfig(format="coco", path=folder, split="train")


@pytest.fixture(scope="module")
def judge(finished_run) -> Judge:
    return judge_of(str(finished_run.folder), "RUN")


@pytest.fixture(scope="module")
def done(planted, judge, finished_run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit of strangers and of people that the run has learnt from."""
    out = tmp_path_factory.mktemp("audit")
    told: list[tuple[int, int]] = []
    known = finished_run.config.data.train[0].model_copy(update={"people": 20})
    counts = audit(
        [judge], [planted, known], out, top=4, device="cpu", advance=lambda *n: told.append(n)
    )
    assert counts == json.loads((out / "audit.json").read_text())
    assert told[-1] == (68, 68)
    return out


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "audit.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_is_ranked_and_names_everything(done: Path) -> None:
    """What is not fine, the likeliest to be wrong first."""
    table = rows(done)

    assert tuple(table[0]) == COLUMNS
    assert [int(row["rank"]) for row in table] == list(range(1, len(table) + 1))
    scores = [float(row["score"]) for row in table]
    assert scores == sorted(scores, reverse=True)
    assert FINE not in {row["class"] for row in table}
    assert {row["known"] for row in table if row["set"] == "coco:train"} <= {"no"}
    assert {row["known"] for row in table if row["set"] == "synthetic"} <= {"yes"}


def test_planted_labels_come_first(done: Path) -> None:
    """A run of seconds knows where a head is not."""
    first = rows(done)[: PLANTED // 2]

    wrong = [row for row in first if row["joint"] == "head_top" and int(row["person"]) < PLANTED]
    assert len(wrong) >= PLANTED // 2 - 1


def test_counts_are_those_of_the_table(done: Path) -> None:
    """By kind, by joint and by set; and what they rest on."""
    counts, table = json.loads((done / "audit.json").read_text()), rows(done)

    suspect = [row for row in table if row["class"] == SUSPECT]
    assert counts["suspect"] == len(suspect) == sum(counts["suspect_by_kind"].values())
    assert counts["hard"] == len(table) - len(suspect)
    assert sum(counts["suspect_by_joint"].values()) == len(suspect)
    assert [set_["known_people"] for set_ in counts["sets"]] == [0, 20]
    assert [set_["people"] for set_ in counts["sets"]] == [48, 20]
    assert counts["settings"]["witnesses"] == 4
    assert len(counts["settings"]["runs"][0]["sha256"]) == 64


def test_the_picture_shows_the_worst(done: Path) -> None:
    """A readable grid, as wide as it was asked for."""
    with Image.open(done / "audit.png") as picture:
        assert picture.width > 900
        assert np.asarray(picture).std() > 30


def test_a_training_takes_the_weights(done: Path, planted: SourceConfig, make_config) -> None:
    """Of the sets that were audited; what is suspect weighs less than what is not."""
    source = f"{{format: coco, path: {planted.path}, split: train}}"
    config = make_config(f"data.train=[{source}]", f"data.weights={done}")

    people = open_people(config, MPII16)

    weights = np.stack([person.joints_img[:, 2] for person in people.people])
    assert people.weighing is not None
    first = next(row for row in rows(done) if row["set"] == "coco:train")
    place = int(first["person"]), MPII16.index(first["joint"])
    assert weights[place] == pytest.approx(1 - float(first["score"]), abs=1e-4)
    assert weights[place] == weights[weights > 0].min()
    assert np.median(weights[weights > 0]) > 0.9


def test_each_person_is_judged_by_those_who_have_not_learnt_from_him(
    planted, judge, finished_run, tmp_path: Path
) -> None:
    """By all, where every run has."""
    Session(finished_run.config, MPII16, CPU).save_judged(tmp_path / "best.pt")
    names = [f"{i}.png" for i in range(1, 49)]
    trained = Run.open(judge.checkpoint, (), CPU)
    trained = replace(trained, learnt=frozenset(names[:30]))
    ignorant = replace(Run.open(tmp_path / "best.pt", (), CPU), learnt=frozenset(names[20:]))

    both = Findings.of(planted, [trained, ignorant])

    np.testing.assert_array_equal(both.known, [20 <= i < 30 for i in range(48)])
    for run, rows_ in ((ignorant, slice(0, 20)), (trained, slice(30, 48))):
        alone = Findings.of(planted, [run])
        np.testing.assert_allclose(
            both.verdict.consensus_img[rows_], alone.verdict.consensus_img[rows_], atol=0.01
        )


def test_where_nothing_is_suspect_the_picture_says_so(planted, judge, tmp_path: Path) -> None:
    """And the table has its heading."""
    findings = Findings.of(planted, [Run.open(judge.checkpoint, (), CPU)])
    fine = np.where(findings.labelled, FINE, "")
    calm = replace(findings, verdict=replace(findings.verdict, class_=fine))

    write_table([calm], tmp_path / "audit.csv")

    assert rows(tmp_path) == []
    assert worst_people([calm], 9) == []
    assert grid([calm], 9).width > 100
    assert len(ranked([calm])) == findings.labelled.sum()


def test_runs_of_other_joints_are_refused(judge, planted, make_config, tmp_path: Path) -> None:
    """Their answers could not be put beside each other."""
    config = make_config("data.skeleton=lsp14")
    Session(config, LSP14, CPU).save_judged(tmp_path / "best.pt")
    other = Judge("other", tmp_path / "best.pt", ())

    with pytest.raises(
        ConfigError, match="other knows the joints of lsp14, learning those of mpii16"
    ):
        audit([judge, other], [planted], tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_a_lone_checkpoint_does_not_know_where_its_data_lay(judge, tmp_path: Path) -> None:
    """A folder does; drawn people can be drawn again by anybody."""
    lone = tmp_path / "best.pt"
    lone.write_bytes(judge.checkpoint.read_bytes())

    assert judge.name == "learning"
    assert judge_of(str(judge.checkpoint), "RUN") == judge
    assert judge_of(str(lone), "RUN").learnt_from == judge.learnt_from  # synthetic
    with pytest.raises(ConfigError, match="RUN: there is no"):
        judge_of(str(tmp_path / "gone"), "RUN")


def test_equal_audits_leave_equal_files(
    done: Path, planted, judge, finished_run, tmp_path: Path
) -> None:
    """Nothing is drawn, and no clock is asked."""
    known = finished_run.config.data.train[0].model_copy(update={"people": 20})
    audit([judge], [planted, known], tmp_path, top=4, device="cpu")

    for name in ("audit.csv", "audit.json", "weights.npz"):
        assert (tmp_path / name).read_bytes() == (done / name).read_bytes(), name
    assert LabelWeights.read(tmp_path / "weights.npz").joints == MPII16.joints
