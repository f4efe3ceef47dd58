"""A portrait made ready for the Python API, and the warnings that come with it."""

from __future__ import annotations

import warnings

import attrs
import torch

from mmfa.pictures import Array
from mmfa_components.geometry.edit import angles_of
from mmfa_components.records import Motion
from pipelines.reports.run_report import InputReport
from pipelines.stages import encode
from pipelines.stages.crop import crop_frames
from pipelines.stages.frames import to_bytes


class MMFAWarning(UserWarning):
    """What you should know about an input or a result: a lost face, a head turned too far."""


@attrs.frozen(eq=False)
class Portrait:
    """A portrait made ready by :meth:`Predictor.portrait`: its face is found, cropped and encoded.

    encoded: the records of the face.  report: what it is known by.  face: which face was chosen.
    """

    encoded: encode.Portrait
    report: InputReport
    face: int | str = "largest"

    @property
    def picture(self) -> Array:
        """The whole picture, (H, W, 3) uint8, RGB."""
        return self.encoded.rgb.numpy()

    @property
    def crop(self) -> Array:
        """The square that is animated, as large as in the picture, (S, S, 3) uint8."""
        side = max(1, round(float(self.encoded.square[2])))
        crops = crop_frames(
            self.encoded.rgb[None], self.encoded.square, side, torch.device("cpu"), fill=True
        )
        return to_bytes(crops.rgb)[0].numpy()

    @property
    def square(self) -> tuple[float, float, float, float]:
        """Centre x, centre y, side in pixels of the picture, and clockwise angle in radians."""
        x, y, side, angle = (float(v) for v in self.encoded.square)
        return x, y, side, angle

    @property
    def angles(self) -> tuple[float, float, float]:
        """Yaw, pitch, roll of the head in degrees, as :meth:`mmfa.Predictor.pose` adds to them.

        NaN where the motion is no head's.
        """
        motion = self.encoded.motion
        if not isinstance(motion, Motion):
            return (float("nan"),) * 3
        yaw, pitch, roll = angles_of(motion)[0].tolist()
        return yaw, pitch, roll


def warn(text: str) -> None:
    """Tell the user as a MMFAWarning."""
    warnings.warn(text, MMFAWarning, stacklevel=3)
