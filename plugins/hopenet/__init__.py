"""HopeNet: head rotation from the image itself, with the user's copy of the official weights (none are shipped)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from mmfa_components import records as r
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec, Context

if TYPE_CHECKING:
    from plugins.hopenet.rotation import HopeNetRotation


@attrs.frozen
class HopeNetOptions:
    """Options of the HopeNet rotation estimator.

    weights: path of the official file (hopenet_alpha1.pkl, hopenet_alpha2.pkl, hopenet_robust_alpha1.pkl), or the same tensors as
    ``.pth`` or ``.safetensors``. There is no default: the file cannot be shipped.
    """

    weights: str = ""


def make_rotation(options: HopeNetOptions, context: Context) -> HopeNetRotation:
    """Build the estimator; torchvision is imported here, not with the plugin. Raises WeightsError or PluginError."""
    from plugins.hopenet.rotation import HopeNetRotation

    return HopeNetRotation(options.weights, context)


def check_at_hand(options: HopeNetOptions) -> None:
    """Raises WeightsError when the file is not named or not there."""
    from plugins.hopenet.rotation import weights_file

    weights_file(options.weights)


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """The rotation estimator."""
    summary = "ResNet-50 with 66 bins per angle (Ruiz et al. 2018); needs the user's weights file"
    needs, gives = (r.Frames,), (r.Rotation,)
    return [ComponentSpec("rotation_estimator", "hopenet", make_rotation, needs, gives, HopeNetOptions, "1", (), summary, check=check_at_hand)]
