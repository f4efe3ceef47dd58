"""One call of VAE training: features of the cache in; weights, losses and a report out."""

from __future__ import annotations

import json
import time
from pathlib import Path

import attrs
from rich.console import Console

from mmfa_components.errors import OutputError, reason_of
from mmfa_components.registry import Registry
from mmfa_components.training.features import FeatureRows, Features, split_clips
from mmfa_components.training.recipe import TrainingRecipe
from mmfa_components.training.vae import LatentFigures, LatentRecipe
from pipelines.stages.components import resolve_device
from pipelines.training.checkpoint import save_weights
from pipelines.training.features import read_features
from pipelines.training.loop import CHECKPOINT, train
from pipelines.training.session import begin, make_folder, training_log
from pipelines.training.systems import made
from pipelines.training.trainer import Trainer
from pipelines.training.vae_schema import VAEPipeline

RECIPE = "vae_recipe"
"""Kind of the components that say how an animator's latent space of expressions is trained."""


@attrs.frozen
class VAEReport:
    """Result of a run.

    weights: the file.  made_with: digest of the animator's weights whose features were learnt.
    left_out: entries of the cache made with others.  figures: None for a run that was interrupted.
    exit_code: 1 when the latent space collapsed, 130 when interrupted, else 0.
    """

    folder: str
    weights: str
    made_with: str
    left_out: int
    seconds: float
    figures: LatentFigures | None

    @property
    def exit_code(self) -> int:
        """See the class."""
        return 130 if self.figures is None else int(bool(self.figures.collapsed))

    def to_json(self) -> str:
        """The report as JSON text."""
        head = {"format": "mmfa-vae-report/1", "exit_code": self.exit_code}
        return json.dumps({**head, **attrs.asdict(self)}, indent=2)


def latent_recipe(pipeline: VAEPipeline, registry: Registry) -> LatentRecipe:
    """The recipe of a pipeline. Raises PluginError, or ConfigError for an unknown preset."""
    spec = registry.spec(RECIPE, pipeline.system or registry.default("animator"))
    recipe: TrainingRecipe = made(spec, pipeline.options(spec.options), registry)
    assert isinstance(recipe, LatentRecipe), f"{RECIPE} {spec.name!r} is no LatentRecipe"
    return recipe


def train_latent(recipe: LatentRecipe, pipeline: VAEPipeline, features: Features, console: Console) -> tuple[Trainer, LatentFigures | None]:
    """Train on features; the trainer, and figures on held-out clips (None when interrupted).

    The log and, while it is not finished, the checkpoint are in ``run.folder``.
    Raises DatasetError for features that cannot be learnt from, TrainingError when a loss is no
    finite number, OutputError.
    """
    run = pipeline.run
    rows, held = split_clips(features, pipeline.data.held_out, run.seed, run.batch)
    device = resolve_device(run.device)
    trainer = Trainer(recipe, pipeline.machine(), None, device)
    folder = Path(run.folder)
    make_folder(folder)
    material = FeatureRows.of(rows, device)

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    begin(trainer, material, None, say)
    log = training_log(trainer, console)
    try:
        result = train(trainer, material, None, log)
    finally:
        log.close()
    if result.interrupted:
        return trainer, None
    (folder / CHECKPOINT).unlink(missing_ok=True)  # a finished run begins anew when called again
    return trainer, recipe.measure(trainer.averaged, rows, held, run.seed)


def run_vae(pipeline: VAEPipeline, registry: Registry, console: Console) -> VAEReport:
    """Train, write weights, losses.csv and report.json to ``run.folder``, and say what came out.

    A run that collapsed leaves its report but no weights; one that was interrupted goes on when it
    is called again. Raises DatasetError, TrainingError, WeightsError or OutputError.
    """
    start, folder = time.monotonic(), Path(pipeline.run.folder)
    recipe = latent_recipe(pipeline, registry)
    overrides = {name: Path(path).expanduser() for name, path in pipeline.weights.items()}
    encoder, own = recipe.encoder.name, recipe.weights_file
    digest = registry.catalogue(overrides).digest(encoder)
    features = read_features(Path(pipeline.data.cache).expanduser(), encoder, digest)

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    others = f"; {features.others} entries of other weights were left out" if features.others else ""
    say(f"{len(features)} features of {features.clips} clips{others}")
    trainer, figures = train_latent(recipe, pipeline, features, console)
    path = folder / f"{own.name}.safetensors"
    seconds = round(time.monotonic() - start, 1)
    report = VAEReport(str(folder), str(path), digest, features.others, seconds, figures)
    if figures is None:
        say("interrupted: run the same command again to go on")
        return report
    try:
        path.unlink(missing_ok=True)
        if not figures.collapsed:
            notes = {"features_of": digest, "steps": str(trainer.step)}
            save_weights(path, trainer.averaged, own.architecture, notes)
        (folder / "report.json").write_text(report.to_json() + "\n", encoding="utf-8")
    except OSError as error:
        what = f"the results cannot be written ({reason_of(error)})"
        raise OutputError(what, where=str(folder), fix="choose another run.folder") from error
    say(
        f"held-out error {figures.error:.3f} (1: nothing learnt), "
        f"{figures.active_units} of {figures.units} units active, "
        f"variance ratio {figures.variance:.2f} (prior samples {figures.prior_variance:.2f}), "
        f"KL {figures.kl:.1f} nats"
    )
    say(f"COLLAPSED: {figures.collapsed}" if figures.collapsed else f"weights: {path}")
    return report
