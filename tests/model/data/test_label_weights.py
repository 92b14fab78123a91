"""How far labels are believed: written by an audit, taken by a training, refused where it lies."""

from pathlib import Path

import numpy as np
import pytest

from model.config import SourceConfig
from model.data.label_weights import LabelWeights, believed
from model.data.mixture import Mixture, open_mixture
from model.errors import ConfigError
from model.skeletons import LSP14, MPII16

K = len(MPII16)


def drawn(*people: int) -> Mixture:
    """One synthetic set for each number of people, no two alike."""
    sources = [
        SourceConfig(format="synthetic", people=count, seed=seed, size_px=64)
        for seed, count in enumerate(people)
    ]
    return open_mixture(sources, MPII16)


def of(mixture: Mixture, *sets: int, value: float = 0.25) -> LabelWeights:
    """The same weight for every label of some of a mixture's sets."""
    origins = [mixture.origins[i] for i in sets]
    weights = {o.fingerprint: np.full((o.people, K), value, np.float32) for o in origins}
    return LabelWeights(mixture.skeleton.joints, weights)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Without pickles, and equal weights make equal files."""
    weights = of(drawn(3, 2), 0, 1)

    weights.write(tmp_path / "a.npz")
    weights.write(tmp_path / "b.npz")
    again = LabelWeights.read(tmp_path / "a.npz")

    assert again.joints == weights.joints
    assert again.sets.keys() == weights.sets.keys()
    for name, values in again.sets.items():
        np.testing.assert_array_equal(values, weights.sets[name])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_set_that_was_not_audited_is_believed(tmp_path: Path) -> None:
    """Weight 1; each set finds its own, wherever it stands in the mixture."""
    mixture = drawn(3, 2)
    of(mixture, 1).write(tmp_path / "weights.npz")

    people = believed(mixture, tmp_path / "weights.npz")

    flags = np.stack([person.joints_img[:, 2] for person in people.people])
    before = np.stack([person.joints_img[:, 2] for person in mixture.people])
    np.testing.assert_array_equal(flags[:3], before[:3])
    np.testing.assert_array_equal(flags[3:], before[3:] * np.float32(0.25))
    assert people.weighing is not None
    assert people.weighing.sets == (mixture.origins[1].name,)


def test_other_weights_are_other_data(tmp_path: Path) -> None:
    """A resumed run compares it; the people and their pictures are the same, and packed once."""
    mixture = drawn(2)
    prints = {mixture.learnt}
    for value in (0.25, 0.5):
        of(mixture, 0, value=value).write(tmp_path / "weights.npz")
        weighed = believed(mixture, tmp_path / "weights.npz")
        prints.add(weighed.learnt)
        assert weighed.fingerprint == mixture.fingerprint == mixture.learnt

    assert len(prints) == 3


def test_weights_of_other_data_are_refused(tmp_path: Path) -> None:
    """They would say nothing, and the run would look as if they had."""
    of(drawn(3), 0).write(tmp_path / "weights.npz")
    other = open_mixture([SourceConfig(format="synthetic", people=3, seed=9, size_px=64)], MPII16)

    with pytest.raises(ConfigError, match="it was made of other data than synthetic, 3 people"):
        believed(other, tmp_path / "weights.npz")


def test_weights_of_other_joints_are_refused(tmp_path: Path) -> None:
    """Their columns are of another skeleton."""
    source = SourceConfig(format="synthetic", people=2, seed=0, size_px=64)
    of(drawn(2), 0).write(tmp_path / "weights.npz")

    with pytest.raises(ConfigError, match="its 16 joints are not the 14 of lsp14"):
        believed(open_mixture([source], LSP14), tmp_path / "weights.npz")


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        (np.ones((2, 3), np.float32), r"float32 \[2, 3\] are not weights of 16 joints"),
        (np.ones((2, K), np.int64), r"int64 \[2, 16\] are not weights"),
        (np.ones((3, K), np.float32), "it has 3 of the 2 people"),
        (np.full((2, K), 1.5, np.float32), "not within 0…1"),
        (np.full((2, K), np.nan, np.float32), "not within 0…1"),
    ],
)
def test_wrong_weights_are_refused(tmp_path: Path, weights: np.ndarray, fault: str) -> None:
    """Each with what is wrong with it, at the configuration's key."""
    mixture = drawn(2)
    content = {"joints": np.array(MPII16.joints), mixture.origins[0].fingerprint: weights}
    np.savez(tmp_path / "weights.npz", **content)

    with pytest.raises(ConfigError, match=fault) as refused:
        believed(mixture, tmp_path / "weights.npz")

    assert refused.value.faults[0].where == "data.weights"


def test_what_is_no_file_of_weights_is_refused(tmp_path: Path) -> None:
    """Nothing of it is run: a pickle may hold anything."""
    files = [tmp_path / name for name in ("text.npz", "one.npy", "pickled.npz", "nameless.npz")]
    files[0].write_text("no archive")
    np.save(files[1], np.ones(3))
    np.savez(files[2], joints=np.array([object()]))
    np.savez(files[3], weights=np.ones((2, K), np.float32))

    for file in files:
        with pytest.raises(ConfigError, match=r"is not an \.npz of arrays|does not name"):
            LabelWeights.read(file)
