"""FOMM as an animator: keypoints with Jacobians move a portrait's features (section 3)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import ConfigError
from mmfa_components.geometry.holding import eased, held
from mmfa_components.geometry.hull import hull_area
from mmfa_components.geometry.transfer import Mode, transfer_motion
from mmfa_components.kinds import Context
from mmfa_components.networks.blocks import channels_last
from mmfa_components.networks.generators.source_skip import blend_picture
from mmfa_components.networks.norms import fold_norms
from mmfa_components.records import LINEAR, Frames, Landmarks, MotionKind, Record, Term, View, Viewed, tensor
from mmfa_components.weights import load_into
from plugins.fomm.convert import load_checkpoint
from plugins.fomm.model import FOMMModel
from plugins.fomm.presets import PAPER, Sizes, preset


@attrs.frozen(eq=False)
class KeypointMotion(Record):
    """Keypoints found without supervision, and the local affine motion around each (FOMM, eq. 4).

    points: (N, K, 2) float, in [-1, 1] over the crop.  jacobians: (N, K, 2, 2) float, invertible.
    """

    points: Tensor = tensor("N", "K", 2)
    jacobians: Tensor = tensor("N", "K", 2, 2, law=LINEAR)


@attrs.frozen(eq=False)
class EncodedPicture(Record):
    """What is kept of a portrait: its picture and the generator's features of it.

    image: (N, 3, S, S) float in [0, 1].  features: (N, C, h, w) float.
    """

    image: Tensor = tensor("N", 3, "S", "S")
    features: Tensor = tensor("N", "C", "h", "w")


KIND = MotionKind(KeypointMotion, smooth=("points", "jacobians"), reference=(Term("points"), Term("jacobians")))


@attrs.frozen
class FOMMOptions:
    """Options of the animator.

    preset: "base" or "paper".
    weights: name of the weights file; "" is the preset's own.
    checkpoint: instead, a checkpoint of the authors' release (vox-cpk.pth.tar), for preset "paper".
    movement_scale: relative motion of the points is multiplied by the ratio of the sizes of both
        heads, as the hulls of their keypoints have them (the authors' ``adapt_movement_scale``).
    """

    preset: str = "base"
    weights: str = ""
    checkpoint: str = ""
    movement_scale: bool = True


class FOMMAnimator:
    """First Order Motion Model for Image Animation, on crops of the preset's side."""

    def __init__(self, options: FOMMOptions, context: Context) -> None:
        chosen = preset(options.preset)
        sizes: Sizes = chosen.sizes
        self.options, self.context, self.crop_size = options, context, sizes.image
        self.largest_side = sizes.image  # parts may be held still; there are no pixels of the portrait's own
        if options.checkpoint:
            if sizes.name != PAPER.name:
                what, fix = "is for the authors' sizes", 'set preset = "paper"'
                raise ConfigError(what, where="animator.options.checkpoint", fix=fix)
            model = load_checkpoint(Path(options.checkpoint).expanduser())
        else:
            name = options.weights or chosen.weights["animator"].name
            model = FOMMModel(sizes)
            load_into(model, context.weights.read(name), str(context.weights.path(name)))
        fold_norms(model.eval().requires_grad_(False))
        self.model: FOMMModel = channels_last(model.to(context.device))  # type: ignore[assignment]

    def encode(self, crops: Frames, landmarks: Landmarks) -> EncodedPicture:
        """The picture and its features."""
        with self._autocast():
            features = self.model.generator.encode(crops.rgb)
        return EncodedPicture(crops.rgb, features.float())

    def decompose(self, crops: Frames, landmarks: Landmarks) -> KeypointMotion:
        """Keypoints and Jacobians, in float32 always."""
        return KeypointMotion(*self.model.keypoint_detector(crops.rgb))

    def render(self, identity: EncodedPicture, source: KeypointMotion, driving: KeypointMotion) -> Frames:
        """Frames (N, 3, S, S) of the identity moved from ``source`` to ``driving``."""
        features, *given = self._given(identity, source, driving)
        with self._autocast():
            result = self.model.generator(features, *self.model.move(*given))
        return Frames(result.clamp(0, 1))

    def render_view(self, identity: EncodedPicture, source: KeypointMotion, driving: KeypointMotion, view: View) -> Viewed:
        """As ``render``, partly held still, where the portrait's own pixels are shown."""
        features, *given = self._given(identity, source, driving)
        with self._autocast():
            flow, occlusion = self.model.move(*given)
            still = held(flow.float(), view.still)
            flow = eased(flow.float(), still)
            image = self.model.generator(features, flow, occlusion).clamp(0, 1)
        picture = view.rgb.expand(len(driving), -1, -1, -1)
        shown = blend_picture(image, torch.zeros_like(image[:, :1]), picture, flow.permute(0, 3, 1, 2), still)
        return Viewed(shown, still)

    def _given(self, identity: EncodedPicture, source: KeypointMotion, driving: KeypointMotion) -> tuple[Any, ...]:
        """Features, and what ``move`` takes, with a row for each frame."""
        frames = len(driving)
        image, features, points, jacobians = (
            t.expand(frames, *t.shape[1:]) for t in (identity.image, identity.features, source.points, source.jacobians)
        )
        return features, image, (points, jacobians), (driving.points, driving.jacobians)

    def transfer(
        self,
        source: KeypointMotion,
        driving: KeypointMotion,
        reference: KeypointMotion,
        modes: Mapping[str, Mode],
    ) -> KeypointMotion:
        """By the laws of the fields; relative points move by the ratio of the heads' sizes."""
        mode = modes.get("points", Mode())
        if mode.origin == "relative" and self.options.movement_scale:
            ratio = (hull_area(source.points[0]) / hull_area(reference.points[0])) ** 0.5
            modes = {**modes, "points": attrs.evolve(mode, amount=mode.amount * ratio)}
        return transfer_motion(source, driving, reference, modes)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The precision of the networks that make images."""
        dtype = self.context.dtype
        return torch.autocast(self.context.device.type, dtype, enabled=dtype != torch.float32)
