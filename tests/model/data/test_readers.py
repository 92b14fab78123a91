"""Readers: published forms in, one `Person` record out; whatever is broken is named."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from model.data.readers import READERS, SPLITS, read_coco, read_lsp, read_mpii
from model.errors import DatasetError
from model.skeletons import COCO17, LSP14, MPII16

DATA = Path(__file__).parents[4] / "shared" / "data"


def real(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that needs the photographs."""
    there = pytest.mark.skipif(not DATA.is_dir(), reason="no photographs at ../shared/data")
    return pytest.mark.data(there(test))


def write_lsp(folder: Path, rows: np.ndarray, *, extended: bool, **splits: list[str]) -> Path:
    """rows: `[N, 14, 3]` x, y, flag."""
    folder.mkdir(exist_ok=True)
    joints = rows.transpose(1, 2, 0) if extended else rows.transpose(2, 1, 0)
    savemat(folder / "joints.mat", {"joints": joints})
    for split, names in splits.items():
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n")
    return folder


def lsp_rows(count: int = 3) -> np.ndarray:
    """Row n's joint k lies at (10 k + n + 1, 5 k + 1); no flag is set."""
    n, k = np.mgrid[:count, :14]
    return np.stack([10.0 * k + n + 1, 5.0 * k + 1, 0.0 * k], axis=-1)


def mpii_row(**changes: Any) -> dict[str, Any]:
    row = {
        "image": "a.jpg",
        "center": [101.0, 151.0],
        "scale": 0.5,
        "joints": [[10.0 * k + 1, 20.0 * k + 1] for k in range(16)],
        "joints_vis": [1] * 16,
    }
    return row | changes


def write_mpii(folder: Path, rows: Any, split: str = "train") -> Path:
    (folder / "annot").mkdir(parents=True, exist_ok=True)
    (folder / "annot" / f"{split}.json").write_text(json.dumps(rows))
    return folder


def write_truth(folder: Path, rows: list[dict[str, Any]], **changes: np.ndarray) -> None:
    N = len(rows)
    joints = np.array([row["joints"] for row in rows]).transpose(1, 2, 0)
    arrays = {
        "pos_gt_src": joints,
        "jnt_missing": np.zeros((16, N)),
        "headboxes_src": np.tile(np.array([[0.0, 0.0], [30.0, 40.0]])[..., None], N),
    }
    savemat(folder / "annot" / "gt_valid.mat", arrays | changes)


def coco_annotation(**changes: Any) -> dict[str, Any]:
    keypoints = [value for k in range(17) for value in (10 * k, 20 * k + 0.5, k % 3)]
    return {
        "id": 7,
        "image_id": 5,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": 11,
        "keypoints": keypoints,
        "bbox": [1, 2, 170, 340],
        "area": 1234.5,
    } | changes


def coco_file(*annotations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}],
        "images": [{"id": 5, "file_name": "five.jpg", "height": 400, "width": 300}],
        "annotations": list(annotations),
    } | changes


def write_coco(folder: Path, content: Any, split: str = "train") -> Path:
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    file = folder / "annotations" / f"person_keypoints_{split}.json"
    file.write_text(json.dumps(content))
    return folder


# LSP and LSPET


def test_lsp_labels_every_joint_and_its_flag_means_hidden(tmp_path):
    """The two sets share a file name and a key; the same flag says opposite things in them."""
    rows = lsp_rows()
    rows[1, 4, 2] = 1

    labelled = read_lsp(write_lsp(tmp_path / "lsp", rows, extended=False), None)

    assert labelled.skeleton is LSP14
    assert [p.image.name for p in labelled.people] == ["im0001.jpg", "im0002.jpg", "im0003.jpg"]
    assert all(p.labelled.all() for p in labelled.people)
    assert labelled.people[1].visible.tolist() == [1] * 4 + [0] + [1] * 9


def test_lspet_labels_the_joints_whose_flag_is_set(tmp_path):
    """Other coordinates mean nothing, and must not reach a box or a loss."""
    rows = lsp_rows()
    rows[:, :, 2] = 1
    rows[1, 4] = [-500, np.nan, 0]

    labelled = read_lsp(write_lsp(tmp_path / "lspet", rows, extended=True), None)

    person = labelled.people[1]
    assert person.image.name == "im00002.jpg"
    assert person.labelled.tolist() == [True] * 4 + [False] + [True] * 9
    assert person.joints_img[4].tolist() == [0, 0, 0]
    assert person.joints_img[5].tolist() == [52, 26, 1]
    assert person.visible is None


def test_lsp_counts_from_the_corner_of_the_image(tmp_path):
    """Half a pixel is what the photographs show (benchmarks/label_offset.py)."""
    labelled = read_lsp(write_lsp(tmp_path / "lsp", lsp_rows(1), extended=False), None)

    assert labelled.people[0].joints_img[2].tolist() == [20.5, 10.5, 1]


def test_the_box_is_the_extent_of_the_labelled_joints(tmp_path):
    """LSP gives no box; an unlabelled joint far outside must not widen it."""
    rows = lsp_rows(1)
    rows[:, :, 2] = 1
    rows[0, 13] = [9000, 9000, 0]

    labelled = read_lsp(write_lsp(tmp_path / "lspet", rows, extended=True), None)

    assert labelled.people[0].box_img.as_list() == [1, 1, 121, 61]


def test_people_without_a_label_are_left_out(tmp_path):
    """There is nothing to learn from them, and no box to crop."""
    rows = lsp_rows()
    rows[[0, 2], :, 2] = 1

    labelled = read_lsp(write_lsp(tmp_path / "lspet", rows, extended=True), None)

    assert [p.image.name for p in labelled.people] == ["im00001.jpg", "im00003.jpg"]


def test_a_split_lists_image_names_in_its_own_order(tmp_path):
    """Row i is image i + 1: the file's order decides nothing."""
    folder = write_lsp(
        tmp_path / "lsp", lsp_rows(), extended=False, valid=["im0003.jpg", "", "im0001.jpg"]
    )

    labelled = read_lsp(folder, "valid")

    assert labelled.name == "lsp:valid"
    assert [p.image for p in labelled.people] == [
        folder / "images" / "im0003.jpg",
        folder / "images" / "im0001.jpg",
    ]
    assert labelled.people[0].joints_img[0].tolist() == [2.5, 0.5, 1]


def test_a_file_of_one_person_is_read(tmp_path):
    """MATLAB drops a last axis of one."""
    folder = tmp_path / "lsp"
    folder.mkdir()
    savemat(folder / "joints.mat", {"joints": lsp_rows(1)[0].T})

    assert len(read_lsp(folder, None).people) == 1


@pytest.mark.parametrize(
    ("listed", "fault"),
    [
        ("im0009.jpg", "lsp/valid.txt, row 2: im0009.jpg is out of range: joints.mat has 3 rows"),
        ("im0000.jpg", "lsp/valid.txt, row 2: im0000.jpg is out of range: joints.mat has 3 rows"),
        ("../im0001.jpg", "lsp/valid.txt, row 2: '../im0001.jpg' is not an image name as im0001"),
        ("/im0001.jpg", "lsp/valid.txt, row 2: '/im0001.jpg' is not an image name as im0001"),
    ],
)
def test_a_wrong_name_in_a_split_is_named(tmp_path, listed, fault):
    """A list from elsewhere is the usual mistake; a path out of the folder is no mistake."""
    folder = write_lsp(tmp_path / "lsp", lsp_rows(), extended=False, valid=["im0001.jpg", listed])

    with pytest.raises(DatasetError) as error:
        read_lsp(folder, "valid")

    assert str(error.value).startswith(fault)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_labelled_joint_that_is_nowhere_is_named(tmp_path, value):
    """NaN would turn the whole batch's loss into NaN."""
    rows = lsp_rows()
    rows[2, 3, 1] = value
    folder = write_lsp(tmp_path / "lsp", rows, extended=False)

    with pytest.raises(DatasetError) as error:
        read_lsp(folder, None)

    assert str(error.value) == (
        "lsp/joints.mat, row 2 (im0003.jpg): left_hip has coordinates that are not a place"
    )


def test_a_flag_that_is_no_flag_is_named(tmp_path):
    """A third value has a third meaning that we do not know."""
    rows = lsp_rows()
    rows[1, 0, 2] = 2
    folder = write_lsp(tmp_path / "lsp", rows, extended=False)

    with pytest.raises(DatasetError, match=r"row 1 \(im0002.jpg\): right_ankle has a flag"):
        read_lsp(folder, None)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"joints": np.zeros((4, 14, 9))}, r"\(3, 14, N\) or \(14, 3, N\), found \(4, 14, 9\)"),
        ({"points": np.zeros((3, 14, 9))}, "has no variable 'joints'; there are: points"),
        ({"joints": np.array([["a", "b"]])}, "joints holds something that is not a number"),
    ],
)
def test_a_mat_file_of_another_form_is_refused(tmp_path, content, fault):
    """The shape is how LSP and LSPET are told apart: no other may pass."""
    savemat(tmp_path / "joints.mat", content)

    with pytest.raises(DatasetError, match=fault):
        read_lsp(tmp_path, None)


@pytest.mark.parametrize("keep", [0, 100, 200, 400])
def test_a_damaged_mat_file_is_a_data_set_error(tmp_path, keep):
    """Cut off anywhere: a person needs the file and the fault."""
    folder = write_lsp(tmp_path / "lsp", lsp_rows(), extended=False)
    file = folder / "joints.mat"
    file.write_bytes(file.read_bytes()[:keep])

    with pytest.raises(DatasetError, match=r"^lsp/joints\.mat: "):
        read_lsp(folder, None)


# MPII


def test_published_mpii_labels_count_from_one(tmp_path):
    """Whole numbers are MATLAB's pixels, the first at (1, 1)."""
    person = read_mpii(write_mpii(tmp_path, [mpii_row()]), "train").people[0]

    assert person.joints_img[2].tolist() == [20, 40, 1]
    assert person.box_img.centre == (100, 150)
    assert person.image == tmp_path / "images" / "a.jpg"


def test_scaled_mpii_labels_count_from_zero(tmp_path):
    """Who scaled the photographs and the labels left MATLAB's pixels behind."""
    row = mpii_row(joints=[[10.25 * k + 1.3, 20.4 * k + 1.7] for k in range(16)])

    person = read_mpii(write_mpii(tmp_path, [row]), "train").people[0]

    np.testing.assert_allclose(person.joints_img[2], [21.8, 42.5, 1], rtol=1e-6)
    assert person.box_img.centre == (101, 151)


def test_the_box_is_200_scale_pixels_around_the_center(tmp_path):
    """The benchmark's enlargement and its 15 pixels down are a crop's business."""
    person = read_mpii(write_mpii(tmp_path, [mpii_row(scale=1.5)]), "train").people[0]

    assert (person.box_img.width, person.box_img.height) == (300, 300)


def test_a_joint_that_is_not_visible_in_mpii_has_no_label(tmp_path):
    """There joints_vis 0 means that nobody labelled it: (−1, −1) is no place."""
    joints = mpii_row()["joints"]
    joints[3] = [-1, -1]
    row = mpii_row(joints=joints, joints_vis=[1, 1, 1, 0] + [1] * 12)

    person = read_mpii(write_mpii(tmp_path, [row]), "train").people[0]

    assert person.joints_img[3].tolist() == [0, 0, 0]
    assert person.labelled.sum() == 15


def test_the_truth_of_the_evaluation_brings_head_sizes(tmp_path):
    """PCKh's unit is 0.6 of the head box's diagonal; who was not labelled is said there."""
    rows = [mpii_row(), mpii_row(image="b.jpg")]
    missing = np.zeros((16, 2))
    missing[5, 1] = 1
    heads = np.zeros((2, 2, 2))
    heads[1, :, 0] = [30, 40]
    heads[1, :, 1] = [60, 80]
    folder = write_mpii(tmp_path, rows, "valid")
    write_truth(folder, rows, jnt_missing=missing, headboxes_src=heads)

    first, second = read_mpii(folder, "valid").people

    assert (first.head_px, second.head_px) == pytest.approx((30, 60))
    assert first.labelled.all()
    assert second.joints_img[5].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"joints": [[1, 2]] * 15}, "joints should have the shape (16, 2), found (15, 2)"),
        ({"joints": [[1, 2]] * 15 + [[1]]}, "joints has rows of different lengths"),
        ({"joints": [["1", "2"]] * 16}, "joints holds something that is not a number"),
        ({"joints": None}, "joints holds something that is not a number"),
        ({"joints": [[float("nan"), 2]] * 16}, "right_ankle has coordinates that are not a place"),
        ({"joints_vis": [1] * 14}, "joints_vis should have the shape (16,), found (14,)"),
        ({"scale": 0}, "box [100.5, 150.5, 0.0, 0.0] has no area"),
        ({"scale": -1}, "box [200.5, 250.5, -200.0, -200.0] has no area"),
        ({"center": [1]}, "center should have the shape (2,), found (1,)"),
        ({"image": "../../etc/passwd"}, "image name '../../etc/passwd' leads out of"),
        ({"image": "/etc/passwd"}, "image name '/etc/passwd' leads out of"),
        ({"image": 5}, "5 is not an image's name"),
    ],
)
def test_a_broken_mpii_row_is_named(tmp_path, changes, fault):
    """Among 22,000 rows the person must not have to search."""
    folder = write_mpii(tmp_path / "mpii", [mpii_row(), mpii_row(**changes)])

    with pytest.raises(DatasetError) as error:
        read_mpii(folder, "train")

    assert str(error.value).startswith(f"mpii/annot/train.json, row 1: {fault}")


@pytest.mark.parametrize("key", ["image", "center", "scale", "joints", "joints_vis"])
def test_a_missing_key_is_named(tmp_path, key):
    """As a test split's rows lack their joints."""
    row = mpii_row()
    del row[key]

    with pytest.raises(DatasetError, match=f"row 0: lacks the key '{key}'"):
        read_mpii(write_mpii(tmp_path, [row]), "train")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"pos_gt_src": np.zeros((16, 2, 3))}, r"pos_gt_src should have the shape \(16, 2, 2\)"),
        ({"headboxes_src": np.zeros((2, 2, 2))}, "row 0: head box has the size 0.0, not above 0"),
    ],
)
def test_a_truth_of_other_people_is_refused(tmp_path, changes, fault):
    """The two files are joined by nothing but their order."""
    rows = [mpii_row(), mpii_row()]
    folder = write_mpii(tmp_path, rows, "valid")
    write_truth(folder, rows, **changes)

    with pytest.raises(DatasetError, match=fault):
        read_mpii(folder, "valid")


# COCO


def test_coco_flags_say_unlabelled_hidden_and_seen(tmp_path):
    """0, 1 and 2; coordinates are ours already."""
    folder = write_coco(tmp_path, coco_file(coco_annotation()))

    labelled = read_coco(folder, "train")

    person = labelled.people[0]
    assert labelled.skeleton == COCO17
    assert person.joints_img[:3].tolist() == [[0, 0, 0], [10, 20.5, 1], [20, 40.5, 1]]
    assert person.visible[:3].tolist() == [-1, 0, 1]
    assert person.box_img.as_list() == [1, 2, 170, 340]
    assert person.origin == {
        "image_id": 5,
        "annotation_id": 7,
        "category_id": 1,
        "area": 1234.5,
    }


def test_crowds_and_people_without_joints_are_left_out(tmp_path):
    """They stand in the file for detectors."""
    content = coco_file(
        coco_annotation(id=1, iscrowd=1),
        coco_annotation(id=2, num_keypoints=0, keypoints=[0] * 51),
        coco_annotation(id=3),
    )

    people = read_coco(write_coco(tmp_path, content), "train").people

    assert [person.origin["annotation_id"] for person in people] == [3]


def test_of_several_categories_the_person_is_read(tmp_path):
    """A file of people and their dogs holds two skeletons."""
    content = coco_file(
        coco_annotation(id=1, category_id=9),
        coco_annotation(id=2),
        categories=[
            {"id": 9, "name": "dog", "keypoints": ["nose", "tail"]},
            {"id": 3, "name": "chair"},
            {"id": 1, "name": "person", "keypoints": list(COCO17.joints)},
        ],
    )

    people = read_coco(write_coco(tmp_path, content), "train").people

    assert [person.origin["annotation_id"] for person in people] == [2]


def test_a_custom_category_brings_its_own_skeleton(tmp_path):
    """Names and sigmas come from the file; nothing is made up."""
    category = {"id": 1, "name": "hand", "keypoints": ["a", "b"], "sigmas": [0.1, 0.2]}
    annotation = coco_annotation(keypoints=[1, 2, 2, 3, 4, 1])
    content = coco_file(annotation, categories=[category])

    labelled = read_coco(write_coco(tmp_path, content), "train")

    assert labelled.skeleton.joints == ("a", "b")
    assert labelled.skeleton.sigmas == (0.1, 0.2)


@pytest.mark.parametrize("folder", ["images", "images/val", "val", "val2017"])
def test_coco_images_are_found_where_people_keep_them(tmp_path, folder):
    """The published archives unpack to `val2017`, exports to `images`."""
    root = write_coco(tmp_path, coco_file(coco_annotation()), "val")
    (root / folder).mkdir(parents=True)
    (root / folder / "five.jpg").touch()

    assert read_coco(root, "val").people[0].image == root / folder / "five.jpg"


def test_a_coco_file_may_be_given_itself(tmp_path):
    """Not everybody calls it person_keypoints_<split>.json."""
    (tmp_path / "mine.json").write_text(json.dumps(coco_file(coco_annotation())))

    labelled = read_coco(tmp_path / "mine.json", None)

    assert labelled.name == "coco:mine"
    assert labelled.people[0].image == tmp_path / "images" / "five.jpg"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"keypoints": [1] * 50}, "keypoints should have the shape (51,), found (50,)"),
        ({"keypoints": [1, 2, 3] * 17}, "a keypoint's flag should be 0, 1 or 2"),
        ({"keypoints": [1, None, 2] * 17}, "keypoints holds something that is not a number"),
        (
            {"keypoints": [1, float("nan"), 2] * 17},
            "nose has coordinates that are not a place",
        ),
        ({"image_id": 6}, "there is no image with the id 6"),
        ({"bbox": [1, 2, 0, 3]}, "box [1.0, 2.0, 0.0, 3.0] has no area"),
        ({"bbox": [1, 2, float("nan"), 3]}, "box [1.0, 2.0, nan, 3.0] is not on any photograph"),
        ({"bbox": [1, 2, 3]}, "bbox should have the shape (4,), found (3,)"),
        ({"area": -1}, "area should be above 0, found -1.0"),
    ],
)
def test_a_broken_coco_annotation_is_named(tmp_path, changes, fault):
    """By its place and by its id, which is what a person searches for."""
    content = coco_file(coco_annotation(), coco_annotation(id=8, **changes))

    with pytest.raises(DatasetError) as error:
        read_coco(write_coco(tmp_path / "set", content), "train")

    where = "set/annotations/person_keypoints_train.json, row annotation 1 (id 8)"
    assert str(error.value).startswith(f"{where}: {fault}")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ([], "row top level: should be an object, found list"),
        ({"images": [], "annotations": []}, "lacks the key 'categories'"),
        (coco_file(categories=[]), "needs one category with keypoints"),
        (coco_file(categories=[{"id": 1, "keypoints": ["tail"]}]), "no OKS sigma for tail"),
        (coco_file(categories=[{"id": 1, "keypoints": [5]}]), "row category 1"),
        (coco_file(images=[{"id": 1}]), "row image 0: lacks the key 'file_name'"),
        (coco_file(images={}), "images should be a list"),
        (coco_file({"id": 1}), "row annotation 0: lacks the key 'category_id'"),
        (
            coco_file(coco_annotation(), images=[{"id": 5, "file_name": "a/../../b.jpg"}]),
            "leads out of the images' folder",
        ),
    ],
)
def test_a_coco_file_of_another_form_is_refused(tmp_path, content, fault):
    """Instances or captions files have the same folder and nearly the same name."""
    with pytest.raises(DatasetError, match=fault):
        read_coco(write_coco(tmp_path, content), "train")


# All


@pytest.mark.parametrize("form", ["mpii", "coco"])
@pytest.mark.parametrize("text", ["", "{", '{"a": 1', "\x00", "[" * 100_000])
def test_broken_json_is_a_data_set_error(tmp_path, form, text):
    """Cut off by a full disk, or nested to overflow a parser."""
    folder = {"mpii": write_mpii, "coco": write_coco}[form](tmp_path, [])
    (file,) = tmp_path.rglob("*.json")
    file.write_text(text)

    with pytest.raises(DatasetError, match="is not valid JSON"):
        READERS[form](folder, "train")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(data=st.data(), form=st.sampled_from(["mpii", "coco"]), value=json_values)
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_json_is_read_or_refused(data, form, value):
    """One value anywhere in the file is replaced: no other error may reach a person."""
    content = {"mpii": [mpii_row(), mpii_row()], "coco": coco_file(coco_annotation())}[form]
    places: list[tuple[Any, Any]] = []

    def visit(node: Any) -> None:
        for key in range(len(node)) if isinstance(node, list) else node:
            places.append((node, key))
            if isinstance(node[key], list | dict):
                visit(node[key])

    visit(content)
    node, key = data.draw(st.sampled_from(places))
    node[key] = value

    with tempfile.TemporaryDirectory() as name:
        folder = {"mpii": write_mpii, "coco": write_coco}[form](Path(name), content)
        try:
            people = READERS[form](folder, "train").people
        except DatasetError:
            return
    assert all(np.isfinite(person.joints_img).all() for person in people)


@given(at=st.floats(0, 0.999), byte=st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_a_mat_is_read_or_refused(at, byte):
    """One byte anywhere in the file is replaced."""
    with tempfile.TemporaryDirectory() as name:
        folder = write_lsp(Path(name), lsp_rows(), extended=False)
        file = folder / "joints.mat"
        content = bytearray(file.read_bytes())
        content[int(at * len(content))] = byte
        file.write_bytes(content)
        try:
            people = read_lsp(folder, None).people
        except DatasetError:
            return
    assert all(np.isfinite(person.joints_img).all() for person in people)


@pytest.mark.parametrize("split", ["test", "../secret", "/etc/passwd", "", "train.json"])
@pytest.mark.parametrize("form", ["lsp", "mpii", "coco"])
def test_an_unknown_split_says_which_there_are(tmp_path, form, split):
    """It is looked up among the files that are there, so that none leads elsewhere."""
    write_lsp(tmp_path, lsp_rows(), extended=False, train=["im0001.jpg"], valid=["im0002.jpg"])
    for name in ("train", "valid"):
        write_mpii(tmp_path, [mpii_row()], name)
        write_coco(tmp_path, coco_file(coco_annotation()), name)

    assert SPLITS[form](tmp_path) == ("train", "valid")
    with pytest.raises(DatasetError, match=r"has no split .*; there are: train, valid"):
        READERS[form](tmp_path, split)


@pytest.mark.parametrize("form", ["mpii", "coco"])
def test_without_a_split_all_are_read(tmp_path, form):
    """As when a set is registered."""
    for name in ("train", "valid"):
        write_mpii(tmp_path, [mpii_row()], name)
        write_coco(tmp_path, coco_file(coco_annotation()), name)

    labelled = READERS[form](tmp_path, None)

    assert labelled.name == f"{form}:train+valid"
    assert len(labelled.people) == 2


@pytest.mark.parametrize("form", ["lsp", "mpii", "coco"])
def test_a_folder_without_the_set_says_so(tmp_path, form):
    """Most often the path is one level off."""
    with pytest.raises(DatasetError, match=tmp_path.name):
        READERS[form](tmp_path, None)


@real
@pytest.mark.parametrize(
    ("form", "folder", "split", "people", "skeleton"),
    [
        ("lsp", "lsp", "train", 997, LSP14),
        ("lsp", "lsp", "valid", 500, LSP14),
        ("lsp", "lspet", "train", 9000, LSP14),
        ("lsp", "lspet", "valid", 500, LSP14),
        ("mpii", "mpii", "train", 1907, MPII16),
        ("mpii", "mpii", "valid", 125, MPII16),
        ("coco", "coco", "train", 210, COCO17),
        ("coco", "coco", "valid", 130, COCO17),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_everybody_of_the_real_sets_is_read(form, folder, split, people, skeleton):
    """The counts are those of the sets' README."""
    labelled = READERS[form](DATA / folder, split)

    assert len(labelled.people) == people
    assert labelled.skeleton == skeleton
    assert all(person.image.is_file() for person in labelled.people)
    assert all(person.joints_img.dtype == np.float32 for person in labelled.people)


@real
def test_every_person_of_the_mpii_validation_has_a_head_size():
    """PCKh on it is the benchmark's only with the benchmark's own heads."""
    people = read_mpii(DATA / "mpii", "valid").people

    assert all(person.head_px and person.head_px > 0 for person in people)
