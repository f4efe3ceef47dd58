"""Edits along units of the expression VAE's latent space (paper section 3.3, Fig. 15): what they need, and what they do to a motion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import ConfigError, MMFAError
from mmfa_components.kinds import ExpressionVAE
from mmfa_components.records import Expression, MotionKind, Record, RegionalMotion
from mmfa_components.registry import Registry
from mmfa_components.weights import metadata
from pipelines.config.components import check_named_components
from pipelines.config.faults import Faults
from pipelines.config.schema import Part
from pipelines.editing.latent import shifted, strengths
from pipelines.stages.components import build_described

TRAIN = (
    "train one: mmfa run decompose --set inputs.files='[\"videos/*.mp4\"]', then mmfa run train_vae, "
    "then set weights.{name}=runs/vae/{name}.safetensors"
)


@attrs.frozen(eq=False)
class LatentSpace:
    """A built VAE. fingerprint: everything that decides its results."""

    vae: ExpressionVAE
    fingerprint: Mapping[str, Any]

    def size(self, features: int) -> int:
        """Units of the space. Raises ConfigError when the VAE takes other features than those of ``features`` numbers."""
        try:
            return int(self.vae.encode(Expression(torch.zeros(1, features))).mean.shape[1])
        except (RuntimeError, ValueError) as error:
            what = f"the VAE does not take this animator's features of {features} numbers ({error})"
            raise ConfigError(what, where="vae", fix="use a VAE of the animator's preset") from error

    @torch.inference_mode()
    def strongest(self, count: int, features: int) -> list[int]:
        """The ``count`` units that change the expression most, strongest first. Raises ConfigError as ``size``."""
        return [int(unit) for unit in strengths(self.vae, self.size(features)).argsort(descending=True)[:count]]

    @torch.inference_mode()
    def shift(self, motion: Record, units: Mapping[str, float], kind: MotionKind) -> Record:
        """``motion`` (N rows) with the expression, that of eyes and mouth included, moved by ``units``: standard deviations by number.

        Raises ConfigError as ``size``, and for a unit the space does not have.
        """
        if not any(units.values()):
            return motion
        size = self.size(getattr(motion, kind.feature).shape[1])
        step = torch.zeros(1, size)
        for name, amount in units.items():
            if int(name) >= size:
                raise ConfigError(f"the latent space has no unit {name}", where="motion.latent", fix=f"its units are 0 to {size - 1}")
            step[0, int(name)] = amount
        regions = ("eyes", "mouth") if isinstance(motion, RegionalMotion) else ()
        moved: dict[str, Tensor] = {n: shifted(self.vae, getattr(motion, n), step.expand(len(motion), -1)) for n in (kind.feature, *regions)}
        return attrs.evolve(motion, **moved)


def build_space(vae: Part, weights: Mapping[str, str], registry: Registry) -> LatentSpace:
    """Build a VAE on the CPU. Raises PluginError, ConfigError or WeightsError."""
    context = registry.context("cpu", torch.float32, {name: Path(path).expanduser() for name, path in weights.items()})
    return LatentSpace(*build_described(registry, context, "expression_vae", vae, "vae"))


def checked_space(landmarks: str, weights: Mapping[str, str], registry: Registry) -> LatentSpace:
    """The default VAE, checked and built. Raises ConfigError listing all faults, PluginError or WeightsError."""
    faults = Faults()
    check_vae(Part(), landmarks, weights, registry, faults)
    faults.raise_if_any("latent")
    return build_space(Part(), weights, registry)


def check_vae(vae: Part, landmarks: str, weights: Mapping[str, str], registry: Registry, faults: Faults, instead: str = "") -> None:
    """Note every fault of a VAE that is needed: unknown, without weights, or made for other features. instead: what else one could do."""
    name = f"mmfa_vae_{vae.options.get('preset', 'base')}"
    known = registry.weights.get(name)
    own = (vae.name or registry.default("expression_vae")) == "mmfa" and known is not None and not vae.options.get("weights")
    if own and known is not None and name not in weights and not known.path.is_file():
        faults.add(f"weights.{name}", "the expression VAE has no weights here", TRAIN.format(name=name) + instead)
        return
    check_named_components([("expression_vae", ("vae",), vae)], landmarks, weights, registry, faults)
    if own and known is not None:
        _check_same_features(weights, registry, name, faults)


def _check_same_features(weights: Mapping[str, str], registry: Registry, name: str, faults: Faults) -> None:
    """The VAE has to know the features of the encoder in use."""
    catalogue = registry.catalogue({k: Path(v).expanduser() for k, v in weights.items() if k in registry.weights})
    try:
        learnt = metadata(catalogue.path(name)).get("features_of", "")
        ours = catalogue.digest(name.replace("_vae", ""))
    except MMFAError:
        return  # told already
    if learnt and learnt != ours:
        what = f"learnt features of other weights ({learnt[:12]}) than those of the animator in use ({ours[:12]})"
        faults.add(f"weights.{name}", what, "train the VAE anew on features of these weights: mmfa run train_vae")
