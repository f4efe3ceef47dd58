"""FOMM: First Order Motion Model for Image Animation (Siarohin et al. 2019), from the paper."""

from __future__ import annotations

from mmfa_components import records as r
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec
from mmfa_components.weights import WeightsFile
from plugins.fomm.animator import KIND, EncodedPicture, FOMMAnimator, FOMMOptions, KeypointMotion
from plugins.fomm.model import size_table
from plugins.fomm.presets import PRESETS
from plugins.fomm.recipe import FOMMRecipe, Options

MODEL_VERSION = "1"


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """The animator, and how it is trained."""
    return [
        ComponentSpec(
            "animator",
            "fomm",
            FOMMAnimator,
            (r.Frames, r.Landmarks),
            (EncodedPicture, KeypointMotion, r.Frames),
            FOMMOptions,
            MODEL_VERSION,
            (PRESETS["base"].weights["animator"].name,),
            "First Order Motion Model: keypoints with Jacobians",
            KIND,
            size_table=size_table,
        ),
        ComponentSpec("recipe", "fomm", FOMMRecipe, options=Options, summary="how FOMM learns"),
    ]


@hookimpl
def mmfa_weights() -> list[WeightsFile]:
    """The names under which trained files are given."""
    return [file for preset in PRESETS.values() for file in preset.weights.values()]
