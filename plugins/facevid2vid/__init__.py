"""face-vid2vid: One-Shot Free-View Neural Talking-Head Synthesis (Wang et al. 2021), from the paper."""

from __future__ import annotations

from mmfa_components import records as r
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec
from mmfa_components.weights import WeightsFile
from plugins.facevid2vid.animator import (
    CanonicalIdentity,
    FaceVid2VidAnimator,
    FaceVid2VidOptions,
)
from plugins.facevid2vid.model import size_table
from plugins.facevid2vid.presets import PRESETS
from plugins.facevid2vid.recipe import FaceVid2VidRecipe, Options

MODEL_VERSION = "1"


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """The animator, and how it is trained."""
    return [
        ComponentSpec(
            "animator",
            "facevid2vid",
            FaceVid2VidAnimator,
            (r.Frames, r.Landmarks),
            (CanonicalIdentity, r.Motion, r.Frames),
            FaceVid2VidOptions,
            MODEL_VERSION,
            (PRESETS["base"].weights["animator"].name,),
            "face-vid2vid: canonical keypoints, head pose, deformation",
            r.HEAD,
            size_table=size_table,
        ),
        ComponentSpec(
            "recipe",
            "facevid2vid",
            FaceVid2VidRecipe,
            options=Options,
            summary="how face-vid2vid learns",
        ),
    ]


@hookimpl
def mmfa_weights() -> list[WeightsFile]:
    """The names under which trained files are given."""
    return [file for preset in PRESETS.values() for file in preset.weights.values()]
