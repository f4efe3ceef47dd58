"""The losses of MMFA's recipes against those recorded before the machine knew recipes.

``recorded/`` holds what the trainer of November 2026 (commit 4d85e63) gave on one CPU thread; the
recipes gave the same to the last bit. ``animation.json`` was written anew when crops were cut in
another order of sums (losses of the first step within 2e-5 of before); the checkpoint is the old
one. Another processor rounds otherwise, which grows from step to step.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from rich.console import Console
from tiny_training import PIPELINE, SIZES, clips, source
from torch import nn

from mmfa_components.geometry.shape import SHAPE_POINTS
from mmfa_components.losses.guide import GUIDE
from mmfa_components.losses.perceptual import VGGFeatures
from mmfa_components.registry import load_registry
from mmfa_components.training.clips import FaceClips
from mmfa_components.training.features import Features
from pipelines.training.checkpoint import load_checkpoint
from pipelines.training.loop import weighted
from pipelines.training.schema import Data, Optimiser, Run, TrainPipeline, schema_with
from pipelines.training.systems import recipe_of
from pipelines.training.trainer import Trainer
from pipelines.training.vae_schema import VAEData, VAEPipeline
from pipelines.training.vae_session import latent_recipe, train_latent
from plugins.mmfa import presets
from plugins.mmfa.training import vae
from plugins.mmfa.training.judges import FaceFeatures, Judges, Recogniser
from plugins.mmfa.training.options import Losses, Model, Schedule
from plugins.packaged.sface import SFace, SFaceNetwork

RECORDED = Path(__file__).parent / "recorded"
CPU = torch.device("cpu")
SHAPE_SIZES = attrs.evolve(SIZES, name="tiny_shape", expression_input="shape", source_skip=True, motion_hint=3, affine_head="grid")
EARLY = Schedule(warmup=2, decay_from=2, decay_to=6, adversarial_from=1, landmarks_from=1, landmarks_ramp=2)
AT_ONCE = Schedule(adversarial_from=0, landmarks_from=0, landmarks_ramp=1)
FIRST, LATER = 1e-5, 5e-3
"""Largest relative difference of a figure, of the first step and of the later ones."""


@pytest.fixture(autouse=True)
def as_recorded() -> Iterator[None]:
    """One thread, and the presets."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    presets.PRESETS |= {s.name: presets.preset_of(s) for s in (SIZES, SHAPE_SIZES)}
    yield
    del presets.PRESETS["tiny_shape"]
    torch.set_num_threads(threads)


def all_judges() -> Judges:
    """The networks of all losses; those that are not shipped have random weights."""
    torch.manual_seed(11)
    vgg, face = VGGFeatures().eval(), SFaceNetwork().eval()
    mesh = load_registry().context(CPU, torch.float32).build("landmark_detector", "facemesh", {})
    return Judges(vgg, FaceFeatures(face), mesh.region_points, Recogniser(SFace(face).embed))


def pipeline(case: str) -> TrainPipeline:
    """Every loss is in."""
    run = Run(folder="unused", batch=4, device="cpu", precision="float32", seed=3, tensorboard=False)
    losses = Losses(face=1.0, recognition=2.0, landmarks=80.0)
    made = PIPELINE(losses=losses, schedule=EARLY, optimiser=Optimiser(rate=1e-3), run=run, model=Model(preset=case))
    if case == "tiny_shape":
        model, losses = attrs.evolve(made.model, discriminator="features"), attrs.evolve(losses, window=32)
        made = attrs.evolve(made, model=model, losses=losses, data=Data(moved=0.5, reshaped=0.5, tint=0.1))
    if case == "base":
        made = attrs.evolve(made, run=attrs.evolve(run, batch=2), schedule=AT_ONCE, optimiser=Optimiser())
    return made


def large_clips() -> FaceClips:
    """Noise of the size of base's crops."""
    g = torch.Generator().manual_seed(5)
    return FaceClips.join([{
        "image": torch.randint(0, 256, (3, 3, 256, 256), dtype=torch.uint8, generator=g),
        "rotation": torch.eye(3).expand(3, 3, 3),
        "region": torch.tensor([[128.0, 128, 200, 0.0]]).expand(3, 4),
        "guide": 80 + 96 * torch.rand(3, len(GUIDE), 2, generator=g),
        "place": 80 + 96 * torch.rand(3, 3, generator=g),
        "shape": torch.randn(3, len(SHAPE_POINTS), 3, generator=g),
    }])  # fmt: skip


def norm(parameters: Iterator[nn.Parameter]) -> float:
    return float(sum(float(p.grad.double().square().sum()) for p in parameters if p.grad is not None)) ** 0.5


def steps(made: Trainer, material: Any, count: int) -> list[dict[str, dict[str, float]]]:
    """Losses, their weighted total, and the gradient norm of every network, step by step."""
    rows = []
    for _ in range(count):
        losses = {name: float(value) for name, value in made.train_step(material).items()}
        losses["total"] = weighted(losses, made.recipe.weights)
        parts = [(name, part) for name, part in made.model.named_children() if name != "expression_pose"]
        gradients = {name: norm(part.parameters()) for name, part in parts}
        assert made.critic is not None
        rows.append({"losses": losses, "gradients": {**gradients, "discriminator": norm(made.critic.parameters())}})
    return rows


def trainer(case: str) -> Trainer:
    made = pipeline(case)
    return Trainer(recipe_of(made, load_registry()), made, all_judges(), CPU)


def compare(found: list[dict[str, dict[str, float]]], wanted: list[dict[str, dict[str, float]]], first: float = FIRST) -> None:
    assert len(found) == len(wanted)
    for number, (row, known) in enumerate(zip(found, wanted, strict=True)):
        for table, values in known.items():
            assert row[table] == pytest.approx(values, rel=LATER if number else first, abs=1e-9), (number, table)


@pytest.mark.parametrize(("case", "count"), [("tiny", 3), ("tiny_shape", 4), ("base", 1)])
def test_every_loss_is_what_it_was(case: str, count: int) -> None:
    material = source(large_clips() if case == "base" else clips(), pipeline(case).data)
    wanted = json.loads((RECORDED / "animation.json").read_text())[case][:count]
    compare(steps(trainer(case), material, count), wanted)


def test_a_checkpoint_made_before_is_gone_on_with() -> None:
    made = trainer("tiny")
    made.restore(load_checkpoint(RECORDED / "checkpoint.pt", CPU), "recorded")
    assert (made.step, made.samples) == (3, 12)
    wanted = json.loads((RECORDED / "animation.json").read_text())["tiny, from the checkpoint"]
    compare(steps(made, source(), 3), wanted)


@pytest.mark.parametrize("name", ["tiny", "base"])
def test_the_latent_space_learns_as_it_did(name: str, tmp_path: Path) -> None:
    from test_vae import features

    given = features()
    if name == "base":
        given = Features(given.feature.repeat(1, 8) * torch.linspace(0.5, 2, 64), given.clip)
    made = schema_with(VAEPipeline, vae.Options)(
        preset=name, data=VAEData(held_out=0.2), losses=vae.Losses(free_bits=0.05, adversarial=0.1), collapse=vae.Collapse(least_units=1),
        run=vae.Run(str(tmp_path), steps=300, batch=64, kl_warmup=100, adversarial_from=100, seed=4, device="cpu"),
    )  # fmt: skip
    trained, figures = train_latent(latent_recipe(made, load_registry()), made, given, Console(quiet=True))
    wanted = json.loads((RECORDED / "vae.json").read_text())[name]
    with (tmp_path / "losses.csv").open(newline="") as file:
        rows = [{k: float(row[k]) for k in wanted["losses"][-1] if row[k]} for row in csv.DictReader(file)]
    assert [row["step"] for row in rows] == [100, 200, 300]
    for row, known in zip(rows, wanted["losses"], strict=True):
        assert row == pytest.approx(known, rel=LATER)
    assert figures is not None
    assert figures.collapsed == wanted["figures"].pop("collapsed")
    told = {k: v for k, v in attrs.asdict(figures).items() if k != "collapsed"}
    assert told == pytest.approx(wanted["figures"], rel=0.02)
    found = {k: float(v.double().abs().sum()) for k, v in trained.averaged.state_dict().items()}
    assert found == pytest.approx(wanted["weights"], rel=LATER)
