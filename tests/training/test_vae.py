"""The expression VAE learns features of few dimensions, holds whole clips out, and says when it collapsed."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import torch
from tiny_training import SIZES
from torch import Tensor

from mmfa_components.errors import DatasetError, TrainingError
from mmfa_components.networks.expression.vae import ExpressionVAE
from pipelines.training.vae import VAEFigures, clip_weights, measure, split_clips, train_vae
from pipelines.training.vae_schema import Collapse, VAEData, VAELosses, VAEPipeline, VAERun
from plugins.mmfa.presets import expression_vae

CPU = torch.device("cpu")


def features(clips: int = 20, frames: int = 30) -> tuple[Tensor, Tensor]:
    """Features (T, 8) that depend on two numbers in a bent way, of very different sizes; and the clip of each row."""
    g = torch.Generator().manual_seed(0)
    z = torch.randn(clips * frames, 2, generator=g)
    mix = torch.randn(4, 8, generator=g)
    rows = torch.cat([z, z.square() - 1], 1) @ mix * torch.logspace(-1, 1, 8) + 3
    return rows, torch.arange(clips).repeat_interleave(frames)


def pipeline(**run: Any) -> VAEPipeline:
    made = VAERun(**{"steps": 600, "batch": 64, "kl_warmup": 100, "adversarial_from": 100, **run})
    return VAEPipeline(preset="tiny", data=VAEData(held_out=0.2), run=made, collapse=Collapse(least_units=1))


def train(made: VAEPipeline, **changes: Any) -> tuple[ExpressionVAE, VAEFigures, list[tuple[int, dict[str, float]]]]:
    told: list[tuple[int, dict[str, float]]] = []
    rows, clip = features()
    network, figures = train_vae(rows, clip, SIZES, attrs.evolve(made, **changes), CPU, lambda s, x: told.append((s, x)))
    return network, figures, told


@pytest.fixture(scope="module")
def trained() -> tuple[ExpressionVAE, VAEFigures, list[tuple[int, dict[str, float]]]]:
    return train(pipeline())


def test_it_rebuilds_held_out_clips(trained: tuple[ExpressionVAE, VAEFigures, Any]) -> None:
    network, figures, _ = trained
    assert figures.collapsed == ""
    assert figures.error < 0.35  # 1 is what the mean alone gives
    assert figures.variance > 0.5
    assert 0 < figures.prior_variance < 4
    assert 2 <= figures.active_units <= figures.units == SIZES.latent
    assert (figures.clips, figures.rows) == (4, 120)
    assert not network.training
    rows, _ = features()
    torch.testing.assert_close(network.centre, rows.mean(0), atol=3, rtol=0.5)  # of the training clips
    latent = network.encode(rows)[0]
    between = network.decode((latent[:1] + latent[1:2]) / 2)
    assert bool(between.isfinite().all())


def test_losses_are_told_and_the_adversary_joins_late(trained: tuple[ExpressionVAE, VAEFigures, Any]) -> None:
    told = trained[2]
    assert [step for step, _ in told] == [100, 200, 300, 400, 500, 600]
    assert "adversarial" not in told[0][1]
    assert told[-1][1].keys() == {"reconstruction", "kl", "adversarial", "critic"}
    assert told[-1][1]["reconstruction"] < told[0][1]["reconstruction"]


def test_equal_seeds_give_equal_weights() -> None:
    short = pipeline(steps=20)
    a, b, other = train(short)[0], train(short)[0], train(attrs.evolve(short, run=attrs.evolve(short.run, seed=1)))[0]
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert not torch.equal(a.last.weight, other.last.weight)


def test_a_latent_space_that_collapsed_is_told() -> None:
    _, figures, _ = train(pipeline(steps=200), losses=VAELosses(kl=50.0, adversarial=0.0), collapse=Collapse())
    assert "latent units are active" in figures.collapsed
    assert "variance" in figures.collapsed
    assert figures.active_units == 0


def test_figures_of_a_network_known_by_heart() -> None:
    """Posterior mean 0 everywhere: nothing active, nothing rebuilt."""
    network = expression_vae(SIZES).eval()
    for p in network.posterior.parameters():
        p.data.zero_()
    held = torch.randn(50, 8)
    figures = measure(network, held, held, 1, 0, Collapse())
    assert (figures.active_units, figures.kl) == (0, 0)
    assert figures.variance < 1e-6


def test_whole_clips_are_held_out_and_the_same_ones_again() -> None:
    rows, clip = features(clips=10)
    train_rows, held = split_clips(rows, clip, pipeline())
    assert len(clip[held].unique()) == 2
    assert set(clip[held].tolist()).isdisjoint(clip[train_rows].tolist())
    assert bool((train_rows ^ held).all())
    assert torch.equal(split_clips(rows, clip, pipeline())[1], held)


def test_long_clips_count_as_their_root() -> None:
    weight = clip_weights(torch.tensor([0, 0, 0, 0, 7]))
    torch.testing.assert_close(weight, torch.tensor([0.5, 0.5, 0.5, 0.5, 1.0]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows, clip: (rows * float("nan"), clip), "no finite numbers"),
        (lambda rows, clip: (rows, clip * 0), "2 are needed"),
        (lambda rows, clip: (rows * 0 + 1, clip), "all features are the same"),
        (lambda rows, clip: (rows[:40], clip[:40]), "run.batch is 64"),
    ],
)
def test_features_that_cannot_be_learnt_from(change: Any, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        train_vae(*change(*features()), SIZES, pipeline(), CPU, lambda *_: None)


def test_a_loss_that_is_no_number_ends_the_run() -> None:
    rows, clip = features()
    with pytest.raises(TrainingError, match=r"step [0-9]+"):
        train_vae(rows, clip, SIZES, pipeline(rate=1e18), CPU, lambda *_: None)
