"""68 landmarks of the face-alignment package, with the user's copy of its network (none is shipped, none is downloaded)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from mmfa_components import records as r
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec, Context

if TYPE_CHECKING:
    from plugins.face_alignment.landmarks import FaceAlignmentLandmarks


@attrs.frozen
class FaceAlignmentOptions:
    """Options of the face-alignment landmark detector.

    weights: path of 2DFAN4-11f355bf06.pth.tar, or the same tensors as ``.safetensors``; "" looks in $TORCH_HOME/hub/checkpoints.
    flip: average with the mirrored image, as the package does by default (twice the time).
    """

    weights: str = ""
    flip: bool = True


def make_landmarks(options: FaceAlignmentOptions, context: Context) -> FaceAlignmentLandmarks:
    """Build the detector; the package is imported here, not with the plugin. Raises WeightsError or PackageError."""
    from plugins.face_alignment.landmarks import FaceAlignmentLandmarks

    return FaceAlignmentLandmarks(options.weights, options.flip, context)


def check_at_hand(options: FaceAlignmentOptions) -> None:
    """Raises PackageError when the package is not installed, WeightsError when the network is not there."""
    from plugins.face_alignment.landmarks import check_package, weights_file

    check_package()
    weights_file(options.weights)


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """The landmark detector."""
    summary = "68 points (x, y) of the face-alignment package (Bulat et al. 2017); needs mmfa[face-alignment] and your weights file"
    needs = (r.Frames, r.FaceRegions)
    given = (r.ContourLandmarks,)
    return [
        ComponentSpec(
            "landmark_detector",
            "face_alignment",
            make_landmarks,
            needs,
            given,
            FaceAlignmentOptions,
            "1",
            (),
            summary,
            check=check_at_hand,
        )
    ]
