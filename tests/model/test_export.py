"""The exported file: self-contained, and the same as PyTorch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from model.calibration_file import map_of
from model.data.mixture import in_skeleton
from model.data.packing import exact_crops
from model.data.readers import read_lsp
from model.data.synthetic import draw_people
from model.export import export_student, parity
from model.network.cost import student_cost
from model.onnx_file import contents_of
from model.predictor import Card, Predictor
from model.skeletons import COCO17, MPII16
from model.training.outcome.finish import export_branch
from model.training.outcome.judge import keypoints
from model.training.state.checkpoints import load_judged
from model.training.state.learner import Learner
from model.training.state.session import Session

DATA = Path(__file__).parents[3] / "shared" / "data"
BRANCHES = ("wide", "slim")


def real(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that needs the photographs."""
    there = pytest.mark.skipif(not DATA.is_dir(), reason="no photographs at ../shared/data")
    return pytest.mark.data(there(test))


@pytest.fixture(scope="module")
def learner(finished_run) -> Learner:
    path = finished_run.folder / "checkpoints" / "best.pt"
    return load_judged(path, torch.device("cpu"))[2]


@pytest.fixture(scope="module")
def crops(finished_run) -> NDArray[np.uint8]:
    """Of people that were not trained on."""
    data = finished_run.config.data
    return exact_crops(draw_people(20, seed=99, size_px=150), data.crop_px, data.padding)[0]


def in_pytorch(
    run, learner: Learner, crops: NDArray[np.uint8], branch: str, *, flip_test: bool = False
) -> NDArray[np.float32]:
    """The network's answers, their scores by the map that stands in the branch's file alone."""
    scores = map_of(run.student(branch))
    assert scores is not None
    found = keypoints(learner, crops, run.config, MPII16, flip_test=flip_test)
    return scores.applied(found[branch])


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("flip_test", [False, True])
def test_the_file_answers_as_pytorch_does(
    finished_run, learner: Learner, crops: NDArray[np.uint8], branch: str, flip_test: bool
):
    """Network, flip, decoder and frame: all of it is in the file, below half a pixel."""
    expected = in_pytorch(finished_run, learner, crops, branch, flip_test=flip_test)

    found = Predictor(finished_run.student(branch)).infer(crops, flip_test=flip_test)

    assert np.linalg.norm(found[..., :2] - expected[..., :2], axis=-1).max() < 0.5
    np.testing.assert_allclose(found[..., 2], expected[..., 2], atol=1e-3)


@real
@pytest.mark.parametrize("branch", BRANCHES)
def test_the_file_answers_as_pytorch_does_on_photographs(
    finished_run, learner: Learner, branch: str
):
    """Crops of real people, as serving cuts them."""
    data = finished_run.config.data
    people = in_skeleton(read_lsp(DATA / "lsp", "valid"), MPII16)[:60]
    crops, _ = exact_crops(people, data.crop_px, data.padding)
    expected = in_pytorch(finished_run, learner, crops, branch)

    found, report = parity(Predictor(finished_run.student(branch)), crops, expected)

    assert np.linalg.norm(found[..., :2] - expected[..., :2], axis=-1).max() < 0.5
    assert report["people"] == 60
    assert report["largest_px"] < 0.5
    assert report["share_moved_half_a_px"] == 0


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_any_number_of_crops_is_answered_each_alone(
    finished_run, crops: NDArray[np.uint8], count: int
):
    """N is dynamic, and nobody's answer depends on who else is in the batch."""
    predictor = Predictor(finished_run.student("slim"))

    together = predictor.infer(crops[:count])
    alone = np.concatenate([predictor.infer(crops[i : i + 1]) for i in range(count)])

    assert together.shape == (count, len(MPII16), 3)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_each_row_has_a_flip_test_or_none_as_asked(finished_run, crops: NDArray[np.uint8]):
    """One micro-batch mixes requests with and without."""
    predictor = Predictor(finished_run.student("wide"))
    asked = np.arange(len(crops)) % 3 == 1

    mixed = predictor.infer(crops, flip_test=asked)

    plain, flipped = (predictor.infer(crops, flip_test=flip) for flip in (False, True))
    assert not np.allclose(plain, flipped, atol=0.1)
    np.testing.assert_allclose(mixed, np.where(asked[:, None, None], flipped, plain), atol=1e-3)


def test_anybody_can_run_it_with_onnx_runtime_alone(finished_run, crops: NDArray[np.uint8]):
    """One uint8 picture in, joints in its pixels out; the flip test may be left away."""
    session = onnxruntime.InferenceSession(
        finished_run.student("wide"), providers=["CPUExecutionProvider"]
    )

    ((image,), (output, visible)) = (session.get_inputs(), session.get_outputs())
    assert (image.name, image.type) == ("image", "tensor(uint8)")
    assert image.shape[1:] == [96, 64, 3]
    assert isinstance(image.shape[0], str)
    assert (output.name, output.type) == ("keypoints", "tensor(float)")
    assert (visible.name, visible.type) == ("visible", "tensor(float)")
    assert visible.shape == output.shape[:2]
    found, seen = session.run(None, {"image": crops[:3]})
    expected = Predictor(finished_run.student("wide")).infer(crops[:3], visible=True)
    np.testing.assert_array_equal(found, expected[..., :3])
    np.testing.assert_array_equal(seen, expected[..., 3])


def test_the_file_is_self_contained_and_plain(finished_run):
    """One opset family, no custom operators, no data beside it, nothing of this machine in it."""
    path = finished_run.student("wide")
    graph = onnx.load(path, load_external_data=False)

    onnx.checker.check_model(graph, full_check=True)
    assert [opset.domain for opset in graph.opset_import] == [""]
    assert not graph.functions
    assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}
    assert all(not tensor.external_data for tensor in graph.graph.initializer)
    assert str(Path(__file__).parents[2]).encode() not in path.read_bytes()
    assert b"Traceback" not in path.read_bytes()
    assert b".py" not in path.read_bytes()


def test_the_file_says_what_it_is(finished_run):
    """Skeleton, size, padding, run, branch, data, metrics, licence: the file may travel alone."""
    card = Predictor(finished_run.student("slim")).card

    assert (card.branch, card.run) == ("slim", "learning")
    assert card.skeleton == MPII16
    assert (card.size, card.padding) == ((96, 64), 0.05)
    assert card.data == ("synthetic",)
    assert card.licence == finished_run.config.export.licence
    result = finished_run.outcome.metrics["valid"]["synthetic"]["slim"]
    assert card.metrics["synthetic"]["pck@0.2"] == pytest.approx(
        result["pck@0.2"]["mean"], abs=1e-3
    )


def test_any_branch_of_a_run_can_be_exported_later(finished_run, tmp_path: Path):
    """The same student, out of `best.pt` alone."""
    card = export_branch(finished_run.folder, "slim", tmp_path / "later.onnx")

    noise = np.random.default_rng(0).integers(0, 256, (2, 96, 64, 3), np.uint8)
    later, then = (Predictor(p) for p in (tmp_path / "later.onnx", finished_run.student("slim")))
    assert (card.branch, later.card.branch) == ("slim", "slim")
    np.testing.assert_allclose(later.infer(noise), then.infer(noise), atol=1e-3)


@pytest.mark.parametrize(
    ("term", "decoder", "block"),
    [
        ("mse", "dark", "bottleneck"),
        ("mse", "quarter", "separable"),
        ("ce", "expectation", "separable"),
    ],
)
def test_every_decoder_is_in_its_file(
    make_config, tmp_path: Path, term: str, decoder: str, block: str
):
    """And another number of joints, a mirror of their own, shared stacks, and either block."""
    network = "width: 8, depth: 1, shared_stacks: 1, branches: [{name: only}]"
    config = make_config(
        f"target.term={term}",
        f"evaluation.decoder={decoder}",
        f"network={{{network}, block: {block}}}",
    )
    learner = Session(config, COCO17, torch.device("cpu")).judged.eval()
    with torch.no_grad():  # a fresh network's maps are flat: give them peaks
        learner.network.branches[0].stacks[-1].score.weight.mul_(50)
    card = Card("only", COCO17, config.data.crop_px, 0.1, "run", (), "none")
    crops = np.random.default_rng(1).integers(0, 256, (6, 64, 48, 3), np.uint8)

    export_student(learner.network.cut(0), config, COCO17, card, tmp_path / "only.onnx")

    predictor = Predictor(tmp_path / "only.onnx")
    for flip_test in (False, True):
        expected = keypoints(learner, crops, config, COCO17, flip_test=flip_test)["only"]
        found = predictor.infer(crops, flip_test=flip_test)
        np.testing.assert_allclose(found, expected, atol=0.02)
    assert predictor.card == card
    # Counted in the file, where normalisations are folded away, and in the network.
    counted, cost = contents_of(tmp_path / "only.onnx"), student_cost(learner.network, 0, (64, 48))
    assert (counted.parameters, counted.macs) == (cost.parameters, cost.macs)


def test_parity_tells_how_far_the_file_is_off(finished_run, crops: NDArray[np.uint8]):
    """Measured on everybody, in crop pixels."""
    predictor = Predictor(finished_run.student("slim"))
    reference = predictor.infer(crops)
    reference[3, 5, 0] += 2.0
    reference[4, 1, 1] += 0.25
    reference[7, 2, 2] -= 0.125

    found, report = parity(predictor, crops, reference)

    assert len(found) == report["people"] == 20
    assert report["largest_px"] == pytest.approx(2.0, abs=1e-3)
    assert report["share_moved_half_a_px"] == pytest.approx(1 / (20 * 16), abs=1e-6)
    assert report["largest_score_change"] == pytest.approx(0.125, abs=1e-4)
