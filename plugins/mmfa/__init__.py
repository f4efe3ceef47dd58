"""MMFA: the system of the paper, each stage a component, composed by one animator. Its weights lie in this folder."""

from __future__ import annotations

from mmfa_components import records as r
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec
from mmfa_components.weights import WeightsFile
from plugins.mmfa import parts
from plugins.mmfa.animator import AnimatorOptions, make_animator
from plugins.mmfa.presets import PRESETS
from plugins.mmfa.sizes import size_table
from plugins.mmfa.training.options import Options
from plugins.mmfa.training.recipe import make_recipe
from plugins.mmfa.training.vae import Options as VAEOptions
from plugins.mmfa.training.vae import make_vae_recipe

MODEL_VERSION = "3"
DEFAULT: dict[str, tuple[str, ...]] = {role: (file.name,) for role, file in PRESETS["base"].weights.items()}
"""Names of the default preset's weights files, by role."""


def _spec(
    kind: str,
    factory: type,
    needs: tuple[type[r.Record], ...],
    gives: tuple[type[r.Record], ...],
    summary: str,
) -> ComponentSpec:
    weights: tuple[str, ...] = DEFAULT.get(kind, DEFAULT["animator"])
    if kind == "discriminator":
        weights = ()  # random until training gives it some
    if kind == "expression_codec":
        weights += ("facemesh_geometry",)
    options = parts.PartOptions
    return ComponentSpec(kind, "mmfa", factory, needs, gives, options, MODEL_VERSION, weights, summary, default=True)


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """The eight parts and the animator."""
    frames = (r.Frames,)
    posed = (r.Appearance, r.Keypoints, r.Keypoints)
    return [
        _spec("keypoint_detector", parts.KeypointDetector, frames, (r.CanonicalKeypoints,), "2D encoder, 3D decoder, soft-argmax"),
        _spec("affine_estimator", parts.AffineEstimator, frames, (r.Affine,), "scale s > 0 and translation t"),
        _spec(
            "expression_codec", parts.ExpressionCodec, (r.Frames, r.MeshLandmarks, r.Rotation), (r.Expression, r.Deformation),
            "e = E(landmarks or image), delta = D(e, x_c)",
        ),
        _spec("expression_vae", parts.ExpressionVAE, (r.Expression,), (r.Latent,), "Gaussian latent of e"),
        _spec("appearance_extractor", parts.AppearanceExtractor, frames, (r.Appearance,), "feature volume of a portrait"),
        _spec("dense_motion", parts.DenseMotion, posed, (r.DenseMotion,), "masks over sparse motions, occlusion"),
        _spec("generator", parts.Generator, (r.Appearance, r.DenseMotion), (r.Rendering,), "images of side 64, 128, 256"),
        _spec("discriminator", parts.Discriminator, frames, (r.Scores,), "patch scores for training"),
        ComponentSpec(
            "animator", "mmfa", make_animator, (r.Frames, r.Landmarks), (r.Identity, r.Motion, r.Frames), AnimatorOptions,
            MODEL_VERSION, DEFAULT["animator"], "Motion Manipulation via Unsupervised Keypoint Positioning in Face Animation",
            r.HEAD, default=True, presets=PRESETS, size_table=size_table,
        ),
        ComponentSpec(
            "recipe", "mmfa", make_recipe, options=Options, summary="eq. 14 on pairs of frames of one person"
        ),
        ComponentSpec(
            "vae_recipe", "mmfa", make_vae_recipe, options=VAEOptions, summary="eq. 13 on features of the motion cache"
        ),
    ]  # fmt: skip


@hookimpl
def mmfa_weights() -> list[WeightsFile]:
    """The shipped ``base`` model, and names under which a user's own files can be given."""
    return [file for role in DEFAULT for file in (p.weights[role] for p in PRESETS.values())]
