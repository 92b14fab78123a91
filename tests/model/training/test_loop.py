"""The loop: what a step does, what is reported, and when it gives up."""

from typing import Any

import numpy as np
import pytest
import torch

from model.config import Config
from model.data.mixture import open_mixture
from model.data.packing import Pack, exact_crops, pack
from model.errors import ConfigError, TrainingDiverged
from model.evaluation import measure, on_images, summary
from model.skeletons import MPII16
from model.training.loop import Loop
from model.training.outcome.judge import keypoints
from model.training.parallel.group import Group
from model.training.schedules import ramp_up
from model.training.state.session import Session


@pytest.fixture(scope="module")
def people(make_config) -> Pack:
    config = make_config()
    drawn = open_mixture(config.data.train, MPII16).people
    return pack(drawn, config.data.crop_px, config.data.padding, fingerprint="")


def make_loop(config: Config, people: Pack, told: list[dict[str, Any]] | None = None) -> Loop:
    return Loop(
        Session(config, MPII16, torch.device("cpu")),
        people,
        stop=lambda: False,
        report=lambda values: None if told is None else told.append(values),
        checkpoint=lambda: None,
        name=lambda row: f"person {row}",
    )


def a_step(loop: Loop, epoch: int = 0) -> dict[str, float]:
    """One step on the first four people, as if it were of this epoch."""
    pixels, joints = (torch.from_numpy(t[:4]) for t in (loop.people.pixels, loop.people.joints))
    ramp = ramp_up(epoch, loop.session.config.ramp_epochs)
    return loop.step(pixels, joints, people=4, lr=loop.lr(loop.session.progress.step), ramp=ramp)


def test_every_epoch_sees_everybody_once_in_another_order(make_config, people: Pack):
    """All that whole batches hold: 11 people, 2 batches of 4 and nobody twice."""
    loop = make_loop(make_config(), people)

    orders = [loop.order(epoch).tolist() for epoch in range(3)]

    assert [sorted(order) for order in orders] == [list(range(11))] * 3
    assert len({tuple(order) for order in orders}) == 3
    assert loop.steps_per_epoch == 2


def test_a_person_looks_different_at_every_step(make_config, people: Pack):
    """Augmentation is drawn for the step: the same again, and another at the next."""
    loop = make_loop(make_config(), people)

    def crops_at(step: int) -> torch.Tensor:
        loop.session.progress.step = step
        pixels, joints = (torch.from_numpy(t[:4]) for t in (people.pixels, people.joints))
        return loop.step.crops(pixels, joints, people=4)[0]

    assert torch.equal(crops_at(3), crops_at(3))
    assert not torch.equal(crops_at(3), crops_at(4))


def test_fewer_people_than_a_batch_are_one_batch(make_config, people: Pack):
    """A trial on a handful of photographs must not have epochs of no step."""
    loop = make_loop(make_config("training.batch_size=64"), people)

    assert (loop.batch_size, loop.steps_per_epoch) == (11, 1)


def test_a_person_a_device_is_the_least(make_config, people: Pack):
    """A process without anybody would have nothing to add, and nothing to normalise by."""
    many = Group()
    many.size = 5

    with pytest.raises(ConfigError, match=r"5 are to share 4 people a step; accepted: 1 … 4"):
        Loop(
            Session(make_config(), MPII16, torch.device("cpu")),
            people,
            stop=lambda: False,
            report=lambda _: None,
            checkpoint=lambda: None,
            group=many,
        )


def test_an_epochs_entry_has_the_means_of_its_steps(make_config, people: Pack):
    """Loss by part, the rate of the step, and how fast it went."""
    loop = make_loop(make_config("training.epochs=2", "optim.lr=0.01"), people)

    first, second = loop.epochs()

    assert [first["epoch"], second["epoch"]] == [1, 2]
    parts = first["loss"]
    expected = parts["label"] + parts["ensemble"] + parts["distill"]
    assert parts["total"] == pytest.approx(expected, rel=1e-4)
    assert first["lr"] == 0.01
    assert first["images_per_s"] > 0
    assert 0 <= first["data_s"] <= first["seconds"]
    spent = loop.session.progress.spent
    assert spent.images == 2 * 2 * 4
    assert spent.seconds == pytest.approx(first["seconds"] + second["seconds"], abs=2e-3)
    assert spent.cpu_seconds > 0


def test_a_step_uses_the_rate_of_its_place(make_config, people: Pack):
    """A milestone at epoch 1: the first step of the second epoch is the smaller one."""
    loop = make_loop(make_config("optim.milestones=[1]", "optim.lr=0.01"), people)

    assert [loop.lr(step) for step in range(4)] == pytest.approx([0.01, 0.01, 0.001, 0.001])


def test_the_target_gets_its_say_by_the_epoch(make_config, people: Pack):
    """The ramp follows the epoch that a step belongs to: e⁻⁵ in the first, 1 from the 60th."""

    def distilled(epoch: int) -> float:
        loop = make_loop(make_config("training.amp=fp32"), people)
        return a_step(loop, epoch)["distill"]

    assert distilled(0) / distilled(60) == pytest.approx(np.exp(-5), rel=1e-4)


@pytest.mark.parametrize("amp", ["fp32", "bf16"])
def test_a_step_changes_every_student_and_the_teacher(make_config, people: Pack, amp: str):
    """One optimiser for all of them."""
    loop = make_loop(make_config(f"training.amp={amp}"), people)
    before = {n: p.detach().clone() for n, p in loop.session.learner.named_parameters()}

    a_step(loop)

    still = [n for n, p in loop.session.learner.named_parameters() if torch.equal(p, before[n])]
    assert [name for name in still if not name.endswith("bias")] == []


def test_gradients_are_clipped_to_the_norm(make_config, people: Pack):
    """The step that follows a broken label stays small."""
    loop = make_loop(make_config("optim.clip_norm=1e-6"), people)

    a_step(loop)

    grads = [p.grad for p in loop.session.learner.parameters() if p.grad is not None]
    norm = torch.stack([g.norm() for g in grads]).norm()
    assert norm.item() == pytest.approx(1e-6, rel=1e-2)


def test_one_person_is_a_batch(make_config, people: Pack):
    """And a whole training set, if need be."""
    alone = Pack(people.pixels[:1], people.joints[:1])

    (entry,) = make_loop(make_config("training.epochs=1"), alone).epochs()

    assert np.isfinite(entry["loss"]["total"])


def test_a_loss_that_is_no_number_stops_the_training(make_config, people: Pack):
    """Before it spreads into the weights; it says which part, of which people, and what to try."""
    loop = make_loop(make_config("training.batch_size=6", "optim.lr=0.01"), people)
    loop.session.progress.step = 1
    with torch.no_grad():
        loop.session.learner.network.stem.body[0][0].weight.fill_(torch.inf)

    with pytest.raises(TrainingDiverged) as caught:
        next(loop.epochs())

    first, *others, last = (f"person {i}" for i in loop.order(1)[:6].tolist())
    named = ", ".join([first, *others])
    assert str(caught.value) == (
        "the loss is no longer a finite number at step 1 (epoch 2): label is nan, ensemble is nan, "
        f"distill is nan; its batch: {named} and 1 more; the checkpoint before it is kept; "
        "try a smaller optim.lr than 0.01, or optim.clip_norm"
    )
    assert last not in named
    branches = loop.session.learner.network.branches
    assert all(p.isfinite().all() for p in branches.parameters())


def test_a_gradient_that_is_no_number_stops_the_training_alike(make_config, people: Pack):
    """A loss may be finite where its gradient is not: the weights stay as they were."""
    loop = make_loop(make_config(), people)
    weight = loop.session.learner.network.stem.body[0][0].weight
    weight.register_hook(lambda grad: grad * torch.inf)
    before = weight.detach().clone()

    with pytest.raises(TrainingDiverged, match="its gradient is not finite; its batch: person"):
        next(loop.epochs())

    assert torch.equal(weight, before)


def test_people_without_any_label_are_no_reason_to_fail(make_config, people: Pack):
    """A batch of a mixture may hold none of the skeleton's joints."""
    nobody = Pack(people.pixels, people.joints * np.float32([1, 1, 0]))

    losses = a_step(make_loop(make_config("target.term=ce"), nobody))

    assert losses["total"] == 0.0


@pytest.mark.parametrize(
    ("term", "sigma_cells", "lr", "epochs"),
    [("mse", 2, 1e-2, 160), ("ce", 1, 4e-3, 100)],  # `ce` learns several times faster
)
def test_eight_pictures_are_learnt_by_heart(
    make_config, term: str, sigma_cells: float, lr: float, epochs: int
):
    """A network, loss, target or decoder that does not fit the others cannot do this."""
    config = make_config(
        "data.train=[{format: synthetic, people: 8, seed: 5, size_px: 96}]",
        "augment={rotation_deg: 0, scale: 0, flip: 0, colour: 0}",
        "network={width: 32, branches: [{name: a}, {name: b}]}",
        f"target={{sigma_cells: {sigma_cells}, term: {term}}}",
        "scheme={lambda_ens: 1, lambda_kd: 0.1, kl_mean: joints, detach: true}",
        f"optim={{lr: {lr}, schedule: cosine, clip_norm: 5}}",
        f"training={{epochs: {epochs}, batch_size: 8, ema_decay: 0, amp: fp32}}",
    )
    mixture = open_mixture(config.data.train, MPII16)
    crop_px, padding = config.data.crop_px, config.data.padding
    loop = make_loop(config, pack(mixture.people, crop_px, padding, fingerprint=""))

    for _ in loop.epochs():
        pass

    crops, ways = exact_crops(mixture.people, crop_px, padding)
    found = keypoints(loop.session.judged, crops, config, MPII16, flip_test=False)
    scores = {
        name: summary(measure(on_images(points, ways), MPII16, mixture.as_set()))["pck@0.2"]
        for name, points in found.items()
    }
    assert scores.keys() == {"a", "b", "ensemble"}
    assert min(scores.values()) > 85
