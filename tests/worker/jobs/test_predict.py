"""A job that answers many photographs: from a folder, a ZIP or a data set, in COCO's form."""

import contextlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pycocotools.coco import COCO

from model.data.synthetic import draw_people
from model.errors import ConfigError, DatasetError
from model.images import read_image
from model.predictor import Predictor
from worker.jobs import Work
from worker.jobs.predict import Predict
from worker.store import Job, State
from worker.stores import Stores

RunJob = Callable[[str, dict[str, Any]], Job]

PEOPLE = {"a": 1, "sub/b": 2, "sub/c": 3}
"""Photographs by name, each with a figure of this seed."""


@pytest.fixture(scope="module")
def folder(job_stores: Stores) -> Path:
    """Three photographs, one that is broken, one that has no business there, a COCO file."""
    folder = job_stores.settings.data_dir / "incoming" / "monday"
    (folder / "sub").mkdir(parents=True)
    for name, seed in PEOPLE.items():
        person = draw_people(1, seed=seed, size_px=90)[0]
        assert person.pixels is not None
        Image.fromarray(person.pixels).save(folder / f"{name}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no photograph")
    (folder / "notes.txt").write_text("hello")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / os.fsdecode(b"no-text-\xff.png")).write_bytes((folder / "a.png").read_bytes())
    images = [
        {"id": 70, "file_name": "b.png"},
        {"id": 7, "file_name": "a.png"},
        {"id": 8, "file_name": "gone.png"},
        {"id": 9, "file_name": "../../../okdhp.db"},
    ]
    boxes = [(70, [5, 5, 40, 60]), (70, [30, 10, 50, 70]), (7, [0, 0, 90, 90]), (8, [1, 1, 9, 9])]
    annotations = [{"image_id": i, "bbox": box} for i, box in boxes]
    annotations.append({"image_id": 7, "bbox": [0, 0, 5, 5], "iscrowd": 1})
    coco = {"images": images, "annotations": annotations}
    (folder / "people.json").write_text(json.dumps(coco))
    return folder


@pytest.fixture(scope="module")
def packed(folder: Path) -> Path:
    """The same as a ZIP."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for file in sorted(folder.rglob("*[a-z].*")):
            zipped.write(file, file.relative_to(folder))
        zipped.writestr("__MACOSX/a.png", b"")
        zipped.writestr("../../outside.png", (folder / "a.png").read_bytes())
    return path


@pytest.fixture(scope="module")
def answered(folder: Path, distilled: Job, run_job: RunJob) -> Job:
    """The folder, each photograph as one person."""
    return run_job("predict", {"model": "small:1", "path": "incoming/monday", "pictures": 3})


def left(stores: Stores, job: Job, name: str) -> Any:
    with stores.artifacts.open(stores.jobs.artifact(job.id, name).key) as file:
        return json.load(file)


def loaded(tree: dict[str, Any], folder: Path) -> COCO:
    """As everybody reads it."""
    (folder / "results.json").write_text(json.dumps(tree))
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(folder / "results.json"))


def test_a_folder_is_answered_as_the_service_answers(
    job_stores: Stores, folder: Path, answered: Job, tmp_path: Path
) -> None:
    """Every photograph once, in COCO's own form, with the points of a single prediction."""
    assert answered.state == State.SUCCEEDED, answered.error
    results = left(job_stores, answered, "results.json")
    coco = loaded(results, tmp_path)
    names = {image["file_name"]: image for image in coco.loadImgs(coco.getImgIds())}
    assert set(names) == {"a.png", "sub/b.png", "sub/c.png"}
    assert {(i["width"], i["height"]) for i in names.values()} == {(90, 90)}
    (category,) = coco.loadCats(coco.getCatIds(["person"]))
    assert len(category["keypoints"]) == 16
    student = Predictor(job_stores.registry.open_local("small", 1))
    for name, image in names.items():
        (person,) = coco.loadAnns(coco.getAnnIds(image["id"]))
        picture = read_image(folder / name)
        (pose,) = student.predict(picture, [_whole(picture)])
        assert person["keypoints"] == pytest.approx(pose.keypoints_img.ravel(), abs=1e-3)
        assert person["bbox"] == [0, 0, 90, 90]
    again = coco.loadRes(results["annotations"])
    assert len(again.getAnnIds()) == 3


def _whole(picture: Image.Image) -> Any:
    from model.geometry import Box

    return Box.whole((picture.height, picture.width))


def test_what_is_broken_is_told_and_costs_nobody_else(job_stores: Stores, answered: Job) -> None:
    """In the report and in the job's own result, with the reason."""
    report = left(job_stores, answered, "report.json")
    assert (report["photographs"], report["answered"], report["people"]) == (4, 3, 3)
    assert report["ignored"] == 3, "notes, the COCO file, and a name that is no text"
    (broken,) = report["broken"]
    assert broken["file"] == "broken.jpg"
    assert "damaged" in broken["reason"] or "not an image" in broken["reason"]
    assert report["model"]["variant"] == "fp32"
    assert answered.result is not None
    assert answered.result["broken_count"] == 1
    assert answered.progress is not None
    assert (answered.progress["step"], answered.progress["steps"]) == (4, 4)


def test_so_many_pictures_are_drawn_as_were_asked_for(job_stores: Stores, answered: Job) -> None:
    """The first three; of the broken one there is none. No artifact tells a path of the server."""
    artifacts = {a.name: a for a in job_stores.jobs.artifacts(answered.id)}
    assert set(artifacts) == {
        "log.txt", "results.json", "report.json",
        "pictures/0001-a.png", "pictures/0003-b.png",
    }  # fmt: skip
    home = str(job_stores.settings.home.parent).encode()
    for artifact in artifacts.values():
        with job_stores.artifacts.open(artifact.key) as file:
            assert home not in file.read(), artifact.name


def test_a_zip_is_answered_by_a_coco_file_in_it(
    job_stores: Stores, packed: Path, distilled: Job, run_job: RunJob, tmp_path: Path
) -> None:
    """Under its ids, with its boxes but for crowds; names that lead elsewhere lead nowhere."""
    config = {"job": distilled.id, "path": "incoming/monday.zip", "boxes": "people.json"}

    job = run_job("predict", config)

    assert job.state == State.SUCCEEDED, job.error
    coco = loaded(left(job_stores, job, "results.json"), tmp_path)
    assert {i["id"]: i["file_name"] for i in coco.dataset["images"]} == {
        70: "sub/b.png",
        7: "a.png",
    }
    assert [a["bbox"] for a in coco.loadAnns(coco.getAnnIds(70))] == [
        [5, 5, 40, 60],
        [30, 10, 50, 70],
    ]
    assert len(coco.getAnnIds(7)) == 1
    broken = left(job_stores, job, "report.json")["broken"]
    assert [b["file"] for b in broken] == ["gone.png", "../../../okdhp.db"]
    assert {b["reason"].partition(",")[0] for b in broken} == {"there is no such photograph"}


def test_a_name_that_leads_out_of_the_folder_is_not_followed(
    work: Callable[..., Work], folder: Path
) -> None:
    """Even to a picture: what is answered was found in the folder."""
    outside = folder.parent / "outside.png"
    outside.write_bytes((folder / "a.png").read_bytes())
    coco = {"images": [{"id": 1, "file_name": "../outside.png"}], "annotations": []}
    (folder / "sly.json").write_text(json.dumps(coco))
    sly = work(lambda: False, boxes="sly.json")

    assert Predict().run(sly)

    assert json.loads((sly.run_dir / "report.json").read_text())["answered"] == 0
    (folder / "sly.json").unlink()
    outside.unlink()


def test_a_data_set_s_people_are_answered_in_their_boxes(
    job_stores: Stores, distilled: Job, run_job: RunJob
) -> None:
    """A person has the label's box."""
    config = {"model": "small:1", "data": {"format": "synthetic", "people": 3, "seed": 4}}

    job = run_job("predict", config)

    assert job.state == State.SUCCEEDED, job.error
    people = left(job_stores, job, "results.json")["annotations"]
    drawn = draw_people(3, seed=4)
    for person, label in zip(people, drawn, strict=True):
        assert person["bbox"] == pytest.approx(label.box_img.as_list(), abs=0.01)


@pytest.fixture
def work(job_stores: Stores, folder: Path, distilled: Job, tmp_path: Path) -> Callable[..., Work]:
    """What a child is given for the folder."""

    def make(stop: Callable[[], bool], **config: Any) -> Work:
        asked = {"model": "small:1", "path": "incoming/monday", **config}
        spec = Predict().prepare(Predict().resolve(asked, job_stores), job_stores)
        return Work(spec, tmp_path / "run", True, "cpu", tmp_path, stop=stop)

    return make


def after(calls: int) -> Callable[[], bool]:
    """Asks to end when it was called so often."""
    counter: Iterator[int] = iter(range(1000))
    return lambda: next(counter) >= calls


def test_who_goes_on_repeats_no_finished_photograph(
    work: Callable[..., Work], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one whose line was written just before a kill cut the next one off; and a folder
    that has changed meanwhile does not renumber them."""
    monkeypatch.setattr("worker.jobs.answering.CHUNK", 1)
    first = work(after(2))
    assert not Predict().run(first)
    done = first.run_dir / "done.jsonl"
    before = done.read_bytes()
    assert before.count(b"\n") == 2
    done.write_bytes(before + b'{"id": 3, "name": "sub/b' + bytes(5000))
    newcomer = folder / "0.png"
    newcomer.write_bytes((folder / "a.png").read_bytes())

    try:
        assert Predict().run(work(lambda: False))
    finally:
        newcomer.unlink()

    assert done.read_bytes().startswith(before)
    lines = [json.loads(line) for line in done.read_text().splitlines()]
    assert [line["id"] for line in lines] == [1, 2, 3, 4]
    events = [json.loads(line) for line in (first.run_dir / "events.jsonl").open()]
    assert [e["step"] for e in events if e["kind"] == "progress"][-1] == 4


def test_many_pictures_are_one_zip(
    work: Callable[..., Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand artifacts would help nobody."""
    monkeypatch.setattr("worker.jobs.answering.APART", 2)
    many = work(lambda: False, pictures=100)

    assert Predict().run(many)

    with zipfile.ZipFile(many.run_dir / "pictures.zip") as packed:
        assert packed.namelist() == ["0001-a.png", "0003-b.png", "0004-c.png"]
    told = [json.loads(line) for line in (many.run_dir / "events.jsonl").open()]
    assert [e["name"] for e in told if e["kind"] in ("artifact", "picture")] == [
        "results.json",
        "report.json",
        "pictures.zip",
    ]


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({}, "needs either `path` or `data`"),
        ({"path": "x", "data": {"format": "synthetic"}}, "needs either"),
        ({"data": {"format": "synthetic"}, "boxes": "x.json"}, "`boxes` is a file within"),
        ({"path": "/etc"}, "path: /etc is not a relative path"),
        ({"path": "../home"}, "path: ../home is not a relative path"),
        ({"path": "incoming/tuesday"}, "path: incoming/tuesday does not exist"),
        ({"path": "incoming/monday/a.png"}, r"a folder, or a file called \*.zip"),
        ({"path": "incoming/monday", "boxes": "../monday.zip"}, "boxes: ../monday.zip is not"),
        ({"path": "incoming/monday", "boxes": "no.json"}, "boxes: no.json does not exist"),
        ({"path": "incoming/monday", "pictures": 5000}, "pictures: found 5000"),
    ],
)
def test_what_makes_no_sense_is_refused_when_posted(
    job_stores: Stores, folder: Path, distilled: Job, asked: dict[str, Any], fault: str
) -> None:
    """With the key at fault, and no path of the server."""
    with pytest.raises(ConfigError, match=fault) as refused:
        Predict().resolve({"model": "small:1", **asked}, job_stores)
    assert str(job_stores.settings.home.parent) not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "people.json: is not valid JSON"),
        ("[]", "should be an object"),
        ('{"images": [], "annotations": []}', "there are 0 photographs"),
        ('{"images": [{"id": 1}], "annotations": []}', "lacks|has no"),
        (
            '{"images": [{"id": 1, "file_name": "\\ud800.png"}], "annotations": []}',
            "file_name should be text",
        ),
        ('{"images": [{"id": 1}, {"id": 1}], "annotations": []}', "has the id 1 of another"),
        (
            '{"images": [{"id": 1, "file_name": "a.png"}], '
            '"annotations": [{"image_id": 2, "bbox": [0, 0, 1, 1]}]}',
            "there is no image with the id 2",
        ),
        (
            '{"images": [{"id": 1, "file_name": "a.png"}], '
            '"annotations": [{"image_id": 1, "bbox": [0, 0, 0, NaN]}]}',
            "annotation 0: box",
        ),
    ],
)
def test_a_faulty_coco_file_ends_the_job_with_its_row(
    job_stores: Stores, distilled: Job, tmp_path: Path, content: str, fault: str
) -> None:
    """Boxes that are wrong for one photograph may be wrong for all."""
    folder = job_stores.settings.data_dir / "faulty"
    folder.mkdir(exist_ok=True)
    (folder / "people.json").write_text(content)
    asked = {"model": "small:1", "path": "faulty", "boxes": "people.json"}
    spec = Predict().prepare(Predict().resolve(asked, job_stores), job_stores)

    with pytest.raises(DatasetError, match=fault):
        Predict().run(Work(spec, tmp_path / "run", False, "cpu", tmp_path, stop=lambda: False))


def test_entries_of_a_zip_are_read_within_a_bound(
    job_stores: Stores, distilled: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they unpack to; damaged ones are told like any broken photograph."""
    monkeypatch.setattr("worker.jobs.photographs.MAX_BYTES", 10_000)
    path = job_stores.settings.data_dir / "bomb.zip"
    picture = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(picture, "PNG")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("bomb.png", b"\0" * 1_000_000)
        zipped.writestr("good.png", picture.getvalue())
        zipped.writestr("lzma.png", picture.getvalue(), compress_type=zipfile.ZIP_LZMA)
        zipped.writestr("torn.png", b"torn" + bytes(1000), compress_type=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"torn\0\0", b"torn\1\1"))
    asked = {"model": "small:1", "path": "bomb.zip"}
    spec = Predict().prepare(Predict().resolve(asked, job_stores), job_stores)

    assert Predict().run(Work(spec, tmp_path, False, "cpu", tmp_path, stop=lambda: False))

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["answered"] == 1
    reasons = {b["file"]: b["reason"] for b in report["broken"]}
    assert "has more than 10,000 bytes" in reasons["bomb.png"]
    assert "otherwise than by deflate" in reasons["lzma.png"]
    assert "Bad CRC" in reasons["torn.png"]
