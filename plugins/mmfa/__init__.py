"""MMFA: the system of the paper, each stage a component, composed by one animator. Its weights lie in this folder."""

from __future__ import annotations

from pathlib import Path

from mmfa_components import records as r
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec
from mmfa_components.weights import WeightsFile
from plugins.mmfa import parts
from plugins.mmfa.animator import AnimatorOptions, make_animator

HERE = Path(__file__).parent
MODEL_VERSION = "3"
BASE_DIGEST = "451d6914223c737b236cd4253a8655459c999ae00efc419b18ada27a9d65fae2"
VAE_DIGEST = "98392c3fabed0b2deb7673ab6568255b11c09344399829bc439db1bebc001d9a"
VAE, CODEC = ("mmfa_vae_base",), ("mmfa_base", "facemesh_geometry")
LICENCE = "research use only (see MODEL_CARD.md)"


def _spec(kind: str, factory: type, needs: tuple[type[r.Record], ...], gives: tuple[type[r.Record], ...], summary: str) -> ComponentSpec:
    weights = () if kind == "discriminator" else VAE if kind == "expression_vae" else CODEC if kind == "expression_codec" else ("mmfa_base",)
    return ComponentSpec(kind, "mmfa", factory, needs, gives, parts.PartOptions, MODEL_VERSION, weights, summary, default=True)


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
            MODEL_VERSION, ("mmfa_base",), "Motion Manipulation via Unsupervised Keypoint Positioning in Face Animation", r.HEAD, default=True,
        ),
    ]  # fmt: skip


@hookimpl
def mmfa_weights() -> list[WeightsFile]:
    """The shipped ``base`` model, and names under which a user's own files can be given."""
    own = "train it (python -m pipelines.run train) and name the file in [weights]"
    return [
        WeightsFile("mmfa_base", HERE / "mmfa_base.safetensors", "mmfa/base/3", BASE_DIGEST, LICENCE, "trained by this project"),
        WeightsFile("mmfa_base_image", HERE / "mmfa_base_image.safetensors", "mmfa/base_image/3", "", "", f"not shipped: {own}"),
        WeightsFile("mmfa_paper", HERE / "mmfa_paper.safetensors", "mmfa/paper/3", "", "", f"not shipped: {own}"),
        WeightsFile("mmfa_vae_base", HERE / "mmfa_vae_base.safetensors", "mmfa-vae/base/1", VAE_DIGEST, LICENCE, "trained by this project"),
        WeightsFile("mmfa_vae_base_image", HERE / "mmfa_vae_base_image.safetensors", "mmfa-vae/base_image/1", "", "", f"not shipped: {own}"),
        WeightsFile("mmfa_vae_paper", HERE / "mmfa_vae_paper.safetensors", "mmfa-vae/paper/1", "", "", f"not shipped: {own}"),
    ]
