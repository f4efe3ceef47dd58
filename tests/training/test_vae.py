"""The expression VAE learns features of few dimensions, holds whole clips out, and says when it collapsed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from rich.console import Console
from tiny_training import SIZES, use_tiny_preset

from mmfa_components.errors import DatasetError, TrainingError
from mmfa_components.networks.expression.vae import ExpressionVAE
from mmfa_components.registry import load_registry
from mmfa_components.training.features import Features, clip_weights, split_clips
from mmfa_components.training.vae import LatentFigures
from pipelines.training.schema import schema_with
from pipelines.training.vae_schema import VAEData, VAEPipeline
from pipelines.training.vae_session import latent_recipe, train_latent
from plugins.mmfa.presets import expression_vae
from plugins.mmfa.training.vae import Collapse, Losses, Options, Run, measure

PIPELINE = schema_with(VAEPipeline, Options)
Trained = tuple[ExpressionVAE, LatentFigures, list[dict[str, str]]]


def features(clips: int = 20, frames: int = 30) -> Features:
    """Features (T, 8) that depend on two numbers in a bent way, of very different sizes; and the clip of each row."""
    g = torch.Generator().manual_seed(0)
    z = torch.randn(clips * frames, 2, generator=g)
    mix = torch.randn(4, 8, generator=g)
    rows = torch.cat([z, z.square() - 1], 1) @ mix * torch.logspace(-1, 1, 8) + 3
    return Features(rows, torch.arange(clips).repeat_interleave(frames))


def pipeline(**run: Any) -> Any:
    made = Run(**{"steps": 600, "batch": 64, "kl_warmup": 100, "adversarial_from": 100, "device": "cpu", **run})
    return PIPELINE(preset="tiny", data=VAEData(held_out=0.2), run=made, collapse=Collapse(least_units=1))


def train(folder: Path, made: Any, given: Features | None = None, **changes: Any) -> Trained:
    use_tiny_preset()
    made = attrs.evolve(made, run=attrs.evolve(made.run, folder=str(folder)), **changes)
    recipe = latent_recipe(made, load_registry())
    trainer, figures = train_latent(recipe, made, given or features(), Console(quiet=True))
    assert figures is not None
    with (folder / "losses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert isinstance(trainer.averaged, ExpressionVAE)
    return trainer.averaged, figures, rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("vae"), pipeline())


def test_it_rebuilds_held_out_clips(trained: Trained) -> None:
    network, figures, _ = trained
    assert figures.collapsed == ""
    assert figures.error < 0.35  # 1 is what the mean alone gives
    assert figures.variance > 0.5
    assert 0 < figures.prior_variance < 4
    assert 2 <= figures.active_units <= figures.units == SIZES.latent
    assert (figures.clips, figures.rows) == (4, 120)
    assert not network.training
    rows = features().feature
    torch.testing.assert_close(network.centre, rows.mean(0), atol=3, rtol=0.5)  # of the training clips
    latent = network.encode(rows)[0]
    between = network.decode((latent[:1] + latent[1:2]) / 2)
    assert bool(between.isfinite().all())


def test_losses_are_told_and_the_adversary_joins_late(trained: Trained) -> None:
    told = trained[2]
    assert [row["step"] for row in told] == ["100", "200", "300", "400", "500", "600"]
    assert (told[0]["adversarial"], told[0]["critic"]) == ("", "")
    assert all(float(told[-1][name]) > 0 for name in ("reconstruction", "kl", "adversarial", "critic"))
    assert float(told[-1]["reconstruction"]) < float(told[0]["reconstruction"])


def test_equal_seeds_give_equal_weights(tmp_path: Path) -> None:
    a, b, other = (train(tmp_path, pipeline(steps=20, seed=seed))[0] for seed in (0, 0, 1))
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert not torch.equal(a.last.weight, other.last.weight)


def test_a_latent_space_that_collapsed_is_told(tmp_path: Path) -> None:
    _, figures, _ = train(tmp_path, pipeline(steps=200), losses=Losses(kl=50.0, adversarial=0.0), collapse=Collapse())
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


def test_an_interrupted_run_goes_on_and_a_finished_one_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Trained) -> None:
    from pipelines.training.trainer import Trainer

    step = Trainer.train_step

    def pressed(self: Trainer, material: Any) -> Any:
        if self.step == 250:
            raise KeyboardInterrupt
        return step(self, material)

    use_tiny_preset()
    made = attrs.evolve(pipeline(), run=attrs.evolve(pipeline().run, folder=str(tmp_path)))
    recipe = latent_recipe(made, load_registry())
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "train_step", pressed)
        stopped, figures = train_latent(recipe, made, features(), Console(quiet=True))
    assert (stopped.step, figures) == (250, None)
    network, _, rows = train(tmp_path, pipeline())
    unbroken = trained[0].state_dict()
    assert [name for name, value in network.state_dict().items() if not torch.equal(value, unbroken[name])] == []
    assert [row["step"] for row in rows] == ["100", "200", "300", "400", "500", "600"]
    assert not (tmp_path / "checkpoint.pt").exists()


def test_whole_clips_are_held_out_and_the_same_ones_again() -> None:
    given = features(clips=10)
    learnt, held = split_clips(given, 0.2, 0, 64)
    assert held.clips == 2
    assert set(held.clip.tolist()).isdisjoint(learnt.clip.tolist())
    assert len(learnt) + len(held) == len(given)
    assert torch.equal(split_clips(given, 0.2, 0, 64)[1].feature, held.feature)


def test_long_clips_count_as_their_root() -> None:
    weights = clip_weights(torch.tensor([0, 0, 0, 0, 7]))
    torch.testing.assert_close(weights, torch.tensor([0.5, 0.5, 0.5, 0.5, 1.0]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: Features(f.feature * float("nan"), f.clip), "no finite numbers"),
        (lambda f: Features(f.feature, f.clip * 0), "2 are needed"),
        (lambda f: Features(f.feature * 0 + 1, f.clip), "all features are the same"),
        (lambda f: Features(f.feature[:40], f.clip[:40]), "run.batch is 64"),
    ],
)
def test_features_that_cannot_be_learnt_from(change: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=words):
        train(tmp_path, pipeline(), change(features()))


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"step [0-9]+.* no finite") as caught:
        train(tmp_path, pipeline(rate=1e18))
    assert "lower run.rate or losses.adversarial" in caught.value.fix
