"""The frozen networks that judge results: VGG-16, SFace, the landmark network."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.geometry.squares import crop_squares
from mmfa_components.kinds import Context
from mmfa_components.losses.guide import GUIDE
from mmfa_components.losses.perceptual import VGGFeatures
from mmfa_components.networks.blocks import channels_last
from mmfa_components.torch_weights import load_fetched
from plugins.mmfa.training.options import Losses
from plugins.packaged.sface import FIVE, SIDE, SFace, SFaceNetwork, squares_by_template

VGG, FACE = "vgg16_features", "sface"
"""Names of weights files."""
FACE_SCALE = 0.75
"""Scale at which a face of our crops has the size SFace was trained on.

A face fills 0.58 of our crops of 256 pixels and 0.8 of SFace's 112 pixels."""
SEEN = tuple(point for point, mesh in enumerate(FIVE) if mesh[0] in GUIDE)
"""Which of SFace's five points the guide's landmarks hold: pupils and mouth corners, all but the
tip of the nose."""
PLACES = tuple(GUIDE.index(FIVE[point][0]) for point in SEEN)


class FaceFeatures(nn.Module):
    """Crops (N, 3, S, S) in [0, 1] -> SFace's five feature maps, 1/1 to 1/16 of FACE_SCALE S.

    Frozen. Stands in for the paper's VGG-Face (A.2), whose weights no package ships.
    """

    def __init__(self, network: SFaceNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of crops."""
        small = functional.interpolate(image, scale_factor=FACE_SCALE, mode="bilinear", antialias=True)
        return self.network.features(small)


@attrs.frozen(eq=False)
class Recogniser:
    """Who a picture shows.

    embed: aligned faces (N, 3, 112, 112) in [0, 1] -> unit vectors (N, E), differentiable in the
        image.
    """

    embed: Callable[[Tensor], Tensor]

    @staticmethod
    def align(image: Tensor, guide: Tensor) -> Tensor:
        """Faces (N, 3, 112, 112) of images (N, 3, S, S), as the network knows them.

        guide: (N, G, 2) landmarks of losses.guide in [-1, 1] over the image. The tip of the nose,
            which is not among them, is done without.
        """
        points = (guide[:, list(PLACES)].float() + 1) * (image.shape[-1] / 2)
        return crop_squares(image.float(), squares_by_template(points, SEEN), SIDE)


@attrs.frozen(eq=False)
class Judges:
    """The networks that judge and are not trained.

    perceptual: images (N, 3, H, W) in [0, 1] -> features (VGG).
    face: the same of a face network, or None.
    landmarks: face regions (N, 3, 256, 256) -> (N, 478, 2 or more) points, differentiable in the
        image, or None.
    recogniser: embeds faces, or None.
    """

    perceptual: nn.Module
    face: nn.Module | None = None
    landmarks: Callable[[Tensor], Tensor] | None = None
    recogniser: Recogniser | None = None


def needed(losses: Losses) -> tuple[str, ...]:
    """Names of the weights files that these losses need."""
    return (VGG, FACE) if losses.face or losses.recognition else (VGG,)


def load_judges(losses: Losses, context: Context, last: bool) -> Judges:
    """The networks that the losses need, on the context's device.

    last: keep their weights channels-last. Raises WeightsError naming the file that is missing and
    how to get it.
    """
    vgg = VGGFeatures()
    load_fetched(VGG, vgg, context)
    face: FaceFeatures | None = None
    recogniser: Recogniser | None = None
    if losses.face or losses.recognition:
        network = SFaceNetwork()
        load_fetched(FACE, network, context)
        face = FaceFeatures(network) if losses.face else None
        recogniser = Recogniser(SFace(network).embed) if losses.recognition else None
    if last:
        channels_last(vgg)
        if face is not None:
            channels_last(face)
    landmarks: Callable[[Tensor], Tensor] | None = None
    if losses.landmarks:
        landmarks = context.build("landmark_detector", "facemesh", {}).region_points
    return Judges(vgg, face, landmarks, recogniser)
