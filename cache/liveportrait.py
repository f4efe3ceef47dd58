"""LivePortrait's motion templates (``.pkl``) as motion files: the head's rotation, scale and translation can drive MMFA.

LivePortrait composes ``x = s (x_c R + delta) + t`` with points as rows and z away from the viewer; here points are columns and
z is towards the viewer. With ``Z = diag(1, 1, -1)`` its rotation is ``Z R^T Z`` here, and its deformation ``Z R delta`` of points as
columns has MMFA's form (eq. 5) exactly. Its expression is a deformation of its own 21 keypoints and means nothing to another system's;
it is kept beside the motion, with all other numbers of the template. Use the motion "relative": LivePortrait's own scale, and where its
head is frontal, differ from MMFA's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cache.motion_file import MotionHeader, RecordRows, write_motion
from cache.plain_pickle import read_plain_pickle
from mmfa_components.errors import CacheError
from mmfa_components.geometry.apply import apply_matrix
from mmfa_components.geometry.rotations import nearest_rotation
from mmfa_components.records import Deformation, LivePortraitTemplate, Motion

MORE = LivePortraitTemplate.__name__
MIRROR = torch.tensor([1.0, 1.0, -1.0])
"""Points of LivePortrait times this are ours: its z points away from the viewer."""


def import_template(path: Path, output: Path) -> MotionHeader:
    """Turn a template into a motion file. Raises CacheError for a file that is no template; see read_plain_pickle for what is refused."""
    template, rate = read_template(path)
    return write_motion(
        output, RecordRows(motion_of(template)), None, {MORE: template}, rate=rate, time_base=1 / rate, source=Path(path).name, reference=0,
        animator={"kind": "animator", "name": "liveportrait", "version": "", "options": {}, "weights": {}},
    )  # fmt: skip


def read_template(path: Path) -> tuple[LivePortraitTemplate, Fraction]:
    """The numbers of a template, and its frames a second. Raises CacheError."""
    body = read_plain_pickle(path)
    fix = "give a template that LivePortrait wrote beside a driving video"
    frames = body.get("motion") if isinstance(body, dict) else None
    if isinstance(frames, dict):  # a template of one picture
        frames = [frames]
    if not isinstance(frames, Sequence) or not frames or not all(isinstance(f, Mapping) for f in frames):
        raise CacheError("is no motion template: it has no list 'motion' of dicts", where=str(path), fix=fix)
    try:
        rate = Fraction(str(body.get("output_fps", 25))).limit_denominator(1001)
        if not 0 < rate <= 1000:
            raise ValueError(f"output_fps is {rate}")
        count = len(frames)
        template = LivePortraitTemplate(
            matrix=_stack([f["R"] if "R" in f else f["R_d"] for f in frames], (3, 3)),
            scale=_stack([f["scale"] for f in frames], ()),
            t=_stack([f["t"] for f in frames], (3,)),
            exp=_stack([f["exp"] for f in frames], (-1, 3)),
            kp=_points(frames, "kp"),
            x_s=_points(frames, "x_s"),
            eyes=_ratios(body.get("c_eyes_lst", body.get("c_d_eyes_lst")), count),
            lip=_ratios(body.get("c_lip_lst", body.get("c_d_lip_lst")), count),
        )
    except (KeyError, ValueError, TypeError, RuntimeError, ZeroDivisionError) as error:
        raise CacheError(f"is no motion template of LivePortrait ({error})", where=str(path), fix=fix) from error
    if not all(bool(torch.isfinite(t).all()) for t in template.tensors().values()):
        raise CacheError("holds values that are no finite numbers", where=str(path), fix=fix)
    return template, rate


def motion_of(template: LivePortraitTemplate) -> Motion:
    """Rotation, scale and translation as MMFA's motion, without expression (E = 0)."""
    turned = template.matrix.transpose(-1, -2) * MIRROR[:, None] * MIRROR  # Z R^T Z
    rotation = nearest_rotation(turned.contiguous())
    return Motion(rotation, template.scale, template.t * MIRROR, torch.zeros(len(template), 0))


def deformation_of(template: LivePortraitTemplate) -> Deformation:
    """The deformation (N, K, 3) in MMFA's form: before the rotation, ``Z R exp`` of points as columns; it goes with points ``Z kp``."""
    return Deformation(apply_matrix(template.matrix, template.exp) * MIRROR)


def _stack(values: list[Any], shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.stack([np.asarray(v, np.float32).reshape(shape) for v in values]))


def _points(frames: Sequence[Mapping[str, Any]], name: str) -> Tensor:
    if not all(name in f for f in frames):
        return torch.zeros(len(frames), 0, 3)
    return _stack([f[name] for f in frames], (-1, 3))


def _ratios(values: Any, count: int) -> Tensor:
    if not isinstance(values, Sequence) or len(values) != count:
        return torch.zeros(count, 0)
    return _stack(list(values), (-1,))
