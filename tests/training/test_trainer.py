"""Steps of the trainer: losses, averaging, bad steps, state."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import attrs
import pytest
import torch
from tiny_training import SIZES, Pixels, clips, judges, pipeline, source
from tiny_training import trainer as make_trainer
from torch import Tensor, nn

from mmfa_components.errors import TrainingError, WeightsError
from mmfa_components.networks.critics.perceptual import PerceptualDiscriminator
from pipelines.training.schema import Data, Optimiser
from pipelines.training.trainer import Trainer
from plugins.mmfa.training.judges import Judges, Recogniser
from plugins.mmfa.training.objective import windowed
from plugins.mmfa.training.options import Losses, Model, Schedule

CPU = torch.device("cpu")
FOLDER = Path("unused")


def trainer(frozen: Judges | None = None, **changes: object) -> Trainer:
    return make_trainer(pipeline(FOLDER, **changes), frozen)


def snapshot(module: nn.Module) -> list[Tensor]:
    return [t.clone() for t in module.state_dict().values()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_losses_come_in_at_their_steps() -> None:
    made = trainer(judges(landmarks=lambda region: region.flatten(1)[:, : 478 * 2].reshape(-1, 478, 2)), losses=Losses(landmarks=1.0))
    first, second, third = (made.train_step(source()) for _ in range(3))
    always = {
        "perceptual", "equivariance", "keypoint_prior", "deformation_prior", "representation", "identity", "guide", "place", "landmarks",
        "gradient",
    }  # fmt: skip
    assert set(first) == set(second) == always
    assert set(third) == always | {"adversarial", "feature_matching", "discriminator"}
    assert made.step == 3
    assert made.samples == 12


def test_weights_of_zero_leave_losses_out() -> None:
    made = trainer(losses=Losses(landmarks=0.0, adversarial=0.0, feature_matching=0.0))
    before = snapshot(made.critic)
    for _ in range(3):
        found = made.train_step(source())
    assert "adversarial" not in found
    assert same(before, snapshot(made.critic))


def test_the_face_network_joins_when_it_is_given_a_weight() -> None:
    class Half(nn.Module):
        def forward(self, image: Tensor) -> list[Tensor]:
            return [image[..., ::2, ::2]]

    found = trainer(judges(face=Half()), losses=Losses(landmarks=0.0, face=3.0)).train_step(source())
    assert float(found["face"]) > 0
    assert "face" not in trainer(judges(face=Half())).train_step(source())


def test_the_recogniser_joins_when_it_is_given_a_weight() -> None:
    def embed(faces: Tensor) -> Tensor:
        return nn.functional.normalize(faces.flatten(1), dim=1)

    losses = Losses(landmarks=0.0, recognition=2.0)
    made, plain = trainer(judges(recogniser=Recogniser(embed)), losses=losses), trainer(losses=losses)
    found, without = made.train_step(source()), plain.train_step(source())
    assert 0 < float(found["recognition"]) < 2
    assert "recognition" not in without
    assert not same(snapshot(made.model), snapshot(plain.model)), "its gradient reaches the networks"
    assert "recognition" not in trainer(judges(recogniser=Recogniser(embed))).train_step(source())


class Two(nn.Module):
    """A perceptual network of two feature maps, of which the second is judged; counts the pictures it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[int] = []

    def forward(self, image: Tensor) -> list[Tensor]:
        self.shown.append(image.shape[-1])
        return [image, image[..., ::2, ::2]]


def test_the_adversary_may_judge_features() -> None:
    network = Two()
    changes = {"model": Model(preset="tiny", discriminator="features"), "losses": Losses(landmarks=0.0, levels=(1, 1, 1))}
    made = trainer(judges(perceptual=network), **changes)
    assert isinstance(made.critic, PerceptualDiscriminator)
    before = snapshot(made.critic)
    found = [made.train_step(source()) for _ in range(3)]
    assert "adversarial" not in found[1]
    assert {"adversarial", "feature_matching", "discriminator"} <= set(found[2])
    assert not same(before, snapshot(made.critic))
    once = [shown for shown in network.shown[1:] if shown == SIZES.image]  # the first picture told the widths
    assert len(once) == 2 * 3, "features of results and pictures are computed once a step, with and without the adversary"
    other = trainer(judges(perceptual=Two()), **changes)
    other.restore(made.state(), "there")
    with pytest.raises(TrainingError, match="does not fit this run"):
        trainer(judges(perceptual=Two())).restore(made.state(), "there")


def test_a_window_of_the_result_is_looked_at_another_one_in_each_step() -> None:
    network, side = Two(), SIZES.image // 2
    losses = Losses(landmarks=0.0, levels=(1, 1, 1), window=side)
    made = trainer(judges(perceptual=network, face=network), losses=attrs.evolve(losses, face=1.0))
    for _ in range(3):
        made.train_step(source())
    sizes = Counter(network.shown)
    assert sizes[SIZES.image] == 0
    # the middle result as a whole, and a window of the finest for the perceptual and for the face network; each beside its target
    assert sizes[side] == 3 * (2 + 2 + 2)
    corners = []
    for _ in range(3):
        corners.append(made.objective.corner(made.moment))
        assert made.objective.corner(made.moment) == corners[-1]  # every process has the same
        made.train_step(source())
    assert len(set(corners)) == 3
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert windowed(image, 2, (0.0, 1.0)).flatten().tolist() == [2, 3, 6, 7]
    assert windowed(image, 2, (1.0, 0.0)).flatten().tolist() == [8, 9, 12, 13]
    assert windowed(image, 0, (0.3, 0.3)) is image
    assert windowed(image, 9, (0.3, 0.3)) is image


def test_both_adversaries_move_the_results() -> None:
    gradients = {}
    for kind in ("pixels", "features"):
        for weight in (0.0, 50.0):
            losses = Losses(landmarks=0.0, perceptual=0.0, adversarial=weight, feature_matching=1e-9, levels=(1, 1, 1))
            made = trainer(judges(perceptual=Two()), losses=losses, model=Model(preset="tiny", discriminator=kind))
            for _ in range(3):
                made.train_step(source())
            gradients[kind, weight] = torch.cat([p.grad.flatten() for p in made.model.generator.parameters() if p.grad is not None])
    for kind in ("pixels", "features"):
        assert float(gradients[kind, 50.0].norm()) > 10 * float(gradients[kind, 0.0].norm())


def test_training_lowers_the_loss() -> None:
    data = clips((3,))
    made = trainer(losses=Losses(landmarks=0.0, adversarial=0.0, feature_matching=0.0))
    values = [float(made.train_step(source(data, made.pipeline.data))["perceptual"]) for _ in range(60)]
    assert sum(values[-10:]) < 0.9 * sum(values[:10])


def test_the_average_lies_between_old_and_new() -> None:
    made = trainer()
    start = [p.clone() for p in made.averaged.parameters()]
    made.train_step(source())
    decay = 2 / 11
    for old, kept, new in zip(start, made.averaged.parameters(), made.model.parameters(), strict=True):
        torch.testing.assert_close(kept, old * decay + new * (1 - decay))


def test_a_bad_step_changes_nothing_and_the_next_one_draws_other_pairs() -> None:
    class SometimesBad(Pixels):
        bad = True

        def forward(self, image: Tensor) -> list[Tensor]:
            return [image * float("nan") if self.bad else image]

    judge = SometimesBad()
    made = trainer(judges(perceptual=judge))
    networks = (made.model, made.averaged, made.critic)
    before, drawn = [snapshot(n) for n in networks], made.batch(source())[0]
    assert set(made.train_step(source())) == {"bad"}
    assert all(same(a, snapshot(n)) for a, n in zip(before, networks, strict=True))  # batch statistics too
    assert made.step == 0
    assert not torch.equal(drawn.source["image"], made.batch(source())[0].source["image"])
    judge.bad = False
    assert "bad" not in made.train_step(source())
    assert made.step == 1
    assert torch.isfinite(torch.cat([p.flatten() for p in made.model.parameters()])).all()


def test_many_bad_steps_end_the_run_with_the_loss_named() -> None:
    class Broken(Pixels):
        def forward(self, image: Tensor) -> list[Tensor]:
            return [image * float("inf")]

    made = trainer(judges(perceptual=Broken()), bad_steps=3)
    made.train_step(source())
    made.train_step(source())
    with pytest.raises(TrainingError, match=r"step 0: 3 steps in a row gave no finite loss \(perceptual\)"):
        made.train_step(source())


def test_going_on_from_a_state_is_the_same_as_never_having_stopped() -> None:
    unbroken, first = trainer(), trainer()
    for _ in range(5):
        unbroken.train_step(source())
    for _ in range(3):
        first.train_step(source())
    second = trainer()
    second.restore(first.state(), "there")
    for _ in range(2):
        second.train_step(source())
    for name in ("model", "averaged", "critic"):
        assert same(snapshot(getattr(unbroken, name)), snapshot(getattr(second, name))), name


def test_states_of_other_networks_are_refused() -> None:
    made = trainer()
    with pytest.raises(TrainingError, match="made with preset 'base', not 'tiny'"):
        made.restore({**made.state(), "preset": "base"}, "a.pt")
    with pytest.raises(TrainingError, match=r"a\.pt: the checkpoint does not fit this run"):
        made.restore({"preset": "tiny"}, "a.pt")


def test_start_from_refuses_other_weights_and_takes_its_own() -> None:
    made = trainer()
    with pytest.raises(WeightsError, match="missing"):
        made.start_from({}, "nowhere")
    other = trainer(seed=3)
    made.start_from(other.model.state_dict(), "there")
    assert same(snapshot(made.averaged), snapshot(other.model))


def test_the_seed_decides_the_weights() -> None:
    assert same(snapshot(trainer(seed=1).model), snapshot(trainer(seed=1).model))
    assert not same(snapshot(trainer(seed=1).model), snapshot(trainer(seed=2).model))


def test_bfloat16_steps_are_finite() -> None:
    made = trainer(precision="bfloat16")
    found = [made.train_step(source()) for _ in range(3)]
    assert all(torch.isfinite(v) for f in found for v in f.values())


def test_every_loss_of_the_options_is_a_loss_of_the_step() -> None:
    frozen = judges(face=Pixels(), landmarks=lambda region: region.flatten(1)[:, : 478 * 2].reshape(-1, 478, 2))
    frozen = attrs.evolve(frozen, recogniser=Recogniser(lambda faces: nn.functional.normalize(faces.flatten(1), dim=1)))
    made = trainer(frozen, losses=Losses(landmarks=1.0, face=1.0, recognition=1.0, guide=1.0, place=1.0))
    names = set(made.recipe.weights)
    found = [made.train_step(source()) for _ in range(3)]
    assert names <= set(found[-1])
    assert set(found[-1]) - names == {*made.recipe.critic_losses, "gradient"}
    assert attrs.asdict(Losses()).keys() - {"levels", "landmark_parts", "centred", "window"} == names


def test_before_images_are_made_only_the_networks_of_motion_learn() -> None:
    schedule = Schedule(images_from=2, adversarial_from=0, landmarks_from=0)
    made = trainer(losses=Losses(landmarks=0.0, guide=5.0), schedule=schedule)
    before, judge = {k: v.clone() for k, v in made.model.state_dict().items()}, snapshot(made.critic)
    found = [made.train_step(source()) for _ in range(2)][-1]
    assert set(found) == {"equivariance", "keypoint_prior", "deformation_prior", "representation", "identity", "guide", "place", "gradient"}
    changed = {k.split(".")[0] for k, v in made.model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"keypoint_detector", "affine_estimator", "expression_encoder", "expression_decoder"}
    assert same(judge, snapshot(made.critic))
    assert {"perceptual", "adversarial", "discriminator"} <= set(made.train_step(source()))


def test_the_guide_draws_keypoints_to_landmarks() -> None:
    made = trainer(losses=Losses(landmarks=0.0, guide=20.0, place=0.0, keypoint_prior=0.0), data=Data(folder="", moved=0.0, jitter=0.0),
                   schedule=Schedule(images_from=1000), optimiser=Optimiser(rate=3e-3))  # fmt: skip
    data = clips((8,))
    first = float(made.train_step(source(data, made.pipeline.data))["guide"])
    last = [float(made.train_step(source(data, made.pipeline.data))["guide"]) for _ in range(60)][-1]
    assert last < 0.7 * first


def test_the_place_of_the_face_is_learnt() -> None:
    """On one batch that comes again and again; the pictures are noise, so that there is nothing to learn for others."""
    losses = Losses(landmarks=0.0, guide=0.0, place=1.0, keypoint_prior=0.0, equivariance=0.0, deformation_prior=0.0, identity=0.0)
    made = trainer(losses=losses, schedule=Schedule(images_from=1000), optimiser=Optimiser(rate=3e-3))
    batch = made.batch(source(clips((8,))))
    made.batch = lambda _: batch  # type: ignore[method-assign]
    found = [float(made.train_step(source(clips((8,))))["place"]) for _ in range(80)]
    assert sum(found[-5:]) / 5 < 0.5 * found[0]
