"""face-vid2vid as an animator: canonical keypoints, head pose and deformation (section 3)."""

from __future__ import annotations

import contextlib
from typing import Any

import attrs
import torch
from torch import Tensor

from mmfa_components.geometry.holding import eased, held
from mmfa_components.kinds import Context
from mmfa_components.networks.blocks import channels_last
from mmfa_components.networks.generators.source_skip import blend_picture
from mmfa_components.networks.motion.head_pose import rotation_of
from mmfa_components.networks.norms import fold_norms
from mmfa_components.records import Frames, Landmarks, Motion, Record, View, Viewed, tensor
from mmfa_components.weights import load_into
from plugins.facevid2vid.model import FaceVid2VidModel, posed
from plugins.facevid2vid.presets import Sizes, preset


@attrs.frozen(eq=False)
class CanonicalIdentity(Record):
    """What is kept of a portrait: canonical keypoints and the appearance volume.

    canonical: (N, K, 3) float, about [-1, 1].  volume: (N, C, D, H, W) float.
    """

    canonical: Tensor = tensor("N", "K", 3)
    volume: Tensor = tensor("N", "C", "D", "H", "W")


@attrs.frozen
class FaceVid2VidOptions:
    """preset: "base" or "paper".  weights: name of the weights file; "" is the preset's own."""

    preset: str = "base"
    weights: str = ""


class FaceVid2VidAnimator:
    """One-Shot Free-View Neural Talking-Head Synthesis, on crops of the preset's side.

    Its motion is that of a head: the expression feature holds the deformation of the K keypoints
    (3 K numbers), the scale is 1.
    """

    def __init__(self, options: FaceVid2VidOptions, context: Context) -> None:
        chosen = preset(options.preset)
        sizes: Sizes = chosen.sizes
        self.context, self.crop_size = context, sizes.image
        self.largest_side = sizes.image  # parts may be held still; there are no pixels of the portrait's own
        name = options.weights or chosen.weights["animator"].name
        model = FaceVid2VidModel(sizes)
        load_into(model, context.weights.read(name), str(context.weights.path(name)))
        fold_norms(model.eval().requires_grad_(False))
        channels_last(model.to(context.device))
        self.model = model

    def encode(self, crops: Frames, landmarks: Landmarks) -> CanonicalIdentity:
        """Canonical keypoints, in float32 always, and the volume."""
        canonical = self.model.keypoint_detector(crops.rgb)
        with self._autocast():
            volume = self.model.appearance_extractor(crops.rgb)
        return CanonicalIdentity(canonical, volume.float())

    def decompose(self, crops: Frames, landmarks: Landmarks) -> Motion:
        """Pose and deformation, in float32 always."""
        degrees, translation, deformation = self.model.pose_estimator(crops.rgb)
        scale = torch.ones_like(translation[:, 0])
        return Motion(rotation_of(degrees), scale, translation, deformation.flatten(1))

    def render(self, identity: CanonicalIdentity, source: Motion, driving: Motion) -> Frames:
        """Frames (N, 3, S, S) of the identity moved from ``source`` to ``driving``."""
        given = _given(identity, source, driving)
        with self._autocast():
            result = self.model.render(*given)
        return Frames(result.clamp(0, 1))

    def render_view(self, identity: CanonicalIdentity, source: Motion, driving: Motion, view: View) -> Viewed:
        """As ``render``, partly held still, where the portrait's own pixels are shown."""
        volume, *poses = _given(identity, source, driving)
        with self._autocast():
            flow, occlusion = self.model.move(volume, *poses)
            still = held(flow.float()[..., :2].mean(1), view.still)
            flow = eased(flow.float(), still)
            image = self.model.generator(volume, flow, occlusion).clamp(0, 1)
        surface = flow[..., :2].mean(1).permute(0, 3, 1, 2)
        picture = view.rgb.expand(len(driving), -1, -1, -1)
        return Viewed(blend_picture(image, torch.zeros_like(image[:, :1]), picture, surface, still), still)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The precision of the networks that make images."""
        dtype = self.context.dtype
        return torch.autocast(self.context.device.type, dtype, enabled=dtype != torch.float32)


def _given(identity: CanonicalIdentity, source: Motion, driving: Motion) -> tuple[Any, ...]:
    """Volume and both posed keypoints, with a row for each frame."""
    frames = len(driving)
    canonical, volume = (t.expand(frames, *t.shape[1:]) for t in identity.tensors().values())
    own = source.map(lambda t: t.expand(frames, *t.shape[1:]))
    return volume, _pose(canonical, own), _pose(canonical, driving)


def _pose(canonical: Tensor, motion: Motion) -> tuple[Tensor, Tensor]:
    deformation = motion.expression.unflatten(1, canonical.shape[1:])
    return posed(canonical, motion.rotation, motion.scale, motion.translation, deformation)
