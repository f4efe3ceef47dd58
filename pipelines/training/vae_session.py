"""One call of VAE training: features of the cache in; weights, losses and a report out."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console

from mmfa_components.errors import OutputError
from mmfa_components.registry import Registry
from pipelines.stages.components import resolve_device
from pipelines.training.checkpoint import save_weights
from pipelines.training.features import read_features
from pipelines.training.vae import VAEFigures, train_vae
from pipelines.training.vae_schema import VAEPipeline
from plugins.mmfa.presets import preset

COLUMNS = ("step", "reconstruction", "kl", "adversarial", "critic")
SECONDS_BETWEEN_LINES = 5.0


@attrs.frozen
class VAEReport:
    """Result of a run. weights: the file.  made_with: digest of the animator's weights whose features were learnt.

    exit_code: 1 when the latent space collapsed, else 0.
    """

    folder: str
    weights: str
    made_with: str
    left_out: int
    seconds: float
    figures: VAEFigures

    @property
    def exit_code(self) -> int:
        """See the class."""
        return int(bool(self.figures.collapsed))

    def to_json(self) -> str:
        """The report as JSON text."""
        return json.dumps({"format": "mmfa-vae-report/1", "exit_code": self.exit_code, **attrs.asdict(self)}, indent=2)


def run_vae(pipeline: VAEPipeline, registry: Registry, console: Console) -> VAEReport:
    """Train, write ``run.folder``/mmfa_vae_PRESET.safetensors, losses.csv and report.json, and say what came out.

    A run that collapsed leaves its report but no weights. Raises DatasetError, TrainingError, WeightsError or OutputError.
    """
    chosen, start, folder = preset(pipeline.preset), time.monotonic(), Path(pipeline.run.folder)
    sizes, animator, shipped = chosen.sizes, chosen.weights["animator"].name, chosen.weights["expression_vae"]
    digest = registry.catalogue({k: Path(v).expanduser() for k, v in pipeline.weights.items()}).digest(animator)
    features = read_features(Path(pipeline.data.cache).expanduser(), animator, digest)

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    left = f"; {features.others} entries of other weights were left out" if features.others else ""
    say(f"{len(features.feature)} features of {len(features.clip.unique())} clips{left}")
    rows: list[dict[str, Any]] = []
    told = start

    def tell(step: int, losses: dict[str, float]) -> None:
        nonlocal told
        rows.append({"step": step, **{name: f"{value:.6g}" for name, value in losses.items()}})
        now = time.monotonic()
        if now - told >= SECONDS_BETWEEN_LINES:
            told = now
            rest = (now - start) / step * (pipeline.run.steps - step)
            text = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
            say(f"step {step}/{pipeline.run.steps}  {rest:.0f} s left  {text}")

    network, figures = train_vae(features.feature, features.clip, sizes, pipeline, resolve_device(pipeline.run.device), tell)
    path = folder / f"{shipped.name}.safetensors"
    report = VAEReport(str(folder), str(path), digest, features.others, round(time.monotonic() - start, 1), figures)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if not figures.collapsed:
            save_weights(path, network, shipped.architecture, {"features_of": digest, "steps": str(pipeline.run.steps)})
        with (folder / "losses.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(rows)
        (folder / "report.json").write_text(report.to_json() + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the results cannot be written ({error})", where=str(folder), fix="choose another run.folder") from error
    say(
        f"held-out error {figures.error:.3f} (1: nothing learnt), {figures.active_units} of {figures.units} units active, "
        f"variance ratio {figures.variance:.2f} (prior samples {figures.prior_variance:.2f}), KL {figures.kl:.1f} nats"
    )
    say(f"COLLAPSED: {figures.collapsed}" if figures.collapsed else f"weights: {path}")
    return report
