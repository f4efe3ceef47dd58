"""The frozen networks that judge results in training: VGG-16, SFace, the landmark network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.losses.perceptual import VGGFeatures
from mmfa_components.networks.blocks import channels_last
from mmfa_components.registry import Registry, load_registry
from pipelines.training.recognition import Recogniser
from pipelines.training.schema import TrainPipeline
from pipelines.training.step import Frozen
from plugins.packaged.sface import SFace, SFaceNetwork
from plugins.packaged.sources import load_fetched

VGG, FACE = "vgg16_features", "sface"
FACE_SCALE = 0.75
"""A face fills 0.58 of our crops and 0.8 of SFace's 112 pixels: at this scale of a 256-pixel crop it has the size SFace was trained on."""


class FaceFeatures(nn.Module):
    """Crops (N, 3, S, S) in [0, 1] -> SFace's five feature maps, 1/1 to 1/16 of ``FACE_SCALE`` S. Frozen.

    Stands in for the paper's VGG-Face (A.2), whose weights no package ships.
    """

    def __init__(self, network: SFaceNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of crops."""
        small = functional.interpolate(image, scale_factor=FACE_SCALE, mode="bilinear", antialias=True)
        return self.network.features(small)


def frozen_networks(pipeline: TrainPipeline, device: torch.device, registry: Registry | None = None) -> Frozen:
    """The networks the losses need. Raises WeightsError naming the file that is missing and how to get it."""
    overrides = {name: Path(path).expanduser() for name, path in pipeline.weights.items()}
    context = (registry or load_registry()).context(device, torch.float32, overrides)
    vgg = VGGFeatures()
    load_fetched(VGG, vgg, context)
    face: FaceFeatures | None = None
    recogniser: Recogniser | None = None
    if pipeline.losses.face or pipeline.losses.recognition:
        network = SFaceNetwork()
        load_fetched(FACE, network, context)
        face = FaceFeatures(network) if pipeline.losses.face else None
        recogniser = Recogniser(SFace(network).embed) if pipeline.losses.recognition else None
    if pipeline.run.channels_last:
        channels_last(vgg)
        if face is not None:
            channels_last(face)
    landmarks: Callable[[Tensor], Tensor] | None = None
    if pipeline.losses.landmarks:
        landmarks = context.build("landmark_detector", "facemesh", {}).region_points
    return Frozen(vgg, face, landmarks, recogniser)
