"""The authors' published checkpoints (``vox-cpk.pth.tar`` and the like) as weights files of preset "paper".

The map is by names of layers, which are the facts of their layout; a user brings the file.
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from mmfa_components.errors import WeightsError
from mmfa_components.torch_weights import read_state_dict
from mmfa_components.weights import load_into
from plugins.fomm.model import FOMMModel
from plugins.fomm.presets import PAPER

RULES: tuple[tuple[str, str], ...] = (
    (r"^kp_detector\.predictor\.encoder\.down_blocks\.(\d+)\.", r"keypoint_detector.predictor.down.\1."),
    (r"^kp_detector\.predictor\.decoder\.up_blocks\.(\d+)\.", r"keypoint_detector.predictor.up.\1."),
    (r"^kp_detector\.(kp|jacobian)\.", r"keypoint_detector.\1."),
    (
        r"^generator\.dense_motion_network\.hourglass\.encoder\.down_blocks\.(\d+)\.",
        r"dense_motion.hourglass.down.\1.",
    ),
    (
        r"^generator\.dense_motion_network\.hourglass\.decoder\.up_blocks\.(\d+)\.",
        r"dense_motion.hourglass.up.\1.",
    ),
    (r"^generator\.dense_motion_network\.(mask|occlusion)\.", r"dense_motion.\1."),
    (r"^generator\.first\.", "generator.first."),
    (r"^generator\.down_blocks\.(\d+)\.", r"generator.down.\1."),
    (r"^generator\.up_blocks\.(\d+)\.", r"generator.up.\1."),
    (r"^generator\.bottleneck\.r(\d+)\.", r"generator.bottleneck.\1."),
    (r"^generator\.final\.", "generator.final."),
)
"""Their names of layers, and ours."""
NOT_LEARNT = re.compile(r"(^|\.)down\.weight$")
"""Their fixed Gaussians."""


FIX = "give a checkpoint of the authors' release, such as vox-cpk.pth.tar"


def load_checkpoint(path: Path) -> FOMMModel:
    """The model of preset "paper" out of a checkpoint of the authors.

    Pickles are read with ``weights_only``. Raises WeightsError naming what does not fit.
    """
    found: dict[str, Tensor] = {}
    for part in ("generator", "kp_detector"):
        state = read_state_dict(path, FIX, nested=part)
        found |= {f"{part}.{name}": value for name, value in state.items()}
    tensors = {ours(name, path): v for name, v in found.items() if not NOT_LEARNT.search(name)}
    model = FOMMModel(PAPER)
    load_into(model, tensors, str(path))
    return model


def ours(name: str, path: Path) -> str:
    """Our name of a tensor of theirs. Raises WeightsError for a name their layout does not have."""
    for pattern, made in RULES:
        renamed, hits = re.subn(pattern, made, name)
        if hits:
            return renamed
    raise WeightsError(f"has a layer {name!r} that FOMM does not have", where=str(path), fix=FIX)
