"""What people hand to the Python API: pictures and clips as files, as arrays, as PIL images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict

import attrs
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from mmfa_components.errors import MediaError
from pipelines.config.schema import TransferMode
from pipelines.media import MediaInfo, StillImage
from pipelines.stages.encode import opaque

Array: TypeAlias = npt.NDArray[np.uint8]
Picture: TypeAlias = str | Path | Image.Image | npt.NDArray[Any] | Tensor
Driving: TypeAlias = str | Path | Iterable[Any]

FILES = (str, Path)


class Options(TypedDict, total=False):
    """Options of :meth:`mmfa.Predictor.animate`, which explains them."""

    rate: float
    pose: TransferMode
    expression: TransferMode
    amount: Mapping[str, float] | None
    transfer: Mapping[str, TransferMode] | None
    reference: int | Literal["auto"]
    smooth: float
    paste: bool
    mark: bool


@attrs.frozen(eq=False)
class HeldClip:
    """Frames in memory, named by their content, with the facts that a file of them would have.

    rgb: (N, H, W, 3) uint8.
    """

    path: Path
    rgb: Tensor
    info: MediaInfo
    digest: str


def pixels_of(picture: Any, where: str) -> Tensor:
    """A picture in memory as (H, W, 3) uint8 on the CPU, transparency over white.

    picture: a PIL image, or an array or tensor (H, W, 3) or (H, W, 4) uint8.
    where: what errors call it.
    Raises MediaError for anything else.
    """
    if isinstance(picture, Image.Image):
        return _from_pil(picture, where)
    array = picture.detach().cpu().numpy() if isinstance(picture, Tensor) else picture
    if not isinstance(array, np.ndarray):
        what = f"is a {type(picture).__name__}"
        raise MediaError(
            what, where=where, fix="give a path, a PIL image or an array (H, W, 3) uint8"
        )
    if array.dtype != np.uint8:
        fix = "convert it: (255 * x).round().astype('uint8') where 1 is white"
        raise MediaError(f"is of dtype {array.dtype}, not uint8", where=where, fix=fix)
    if array.ndim != 3 or array.shape[2] not in (3, 4) or 0 in array.shape:
        raise MediaError(
            f"has the shape {array.shape}", where=where, fix="give (height, width, 3), RGB"
        )
    rgb = torch.from_numpy(np.array(array))
    return rgb if rgb.shape[2] == 3 else opaque(StillImage(rgb[..., :3].contiguous(), rgb[..., 3]))


def _from_pil(image: Image.Image, where: str) -> Tensor:
    if image.mode.startswith("I") or image.mode == "F":
        fix = "give the path of its file, or an array of 8 bits"
        raise MediaError(f"is of PIL's mode {image.mode}", where=where, fix=fix)
    image = ImageOps.exif_transpose(image)
    clear = "A" in image.getbands() or "transparency" in image.info
    return pixels_of(np.array(image.convert("RGBA" if clear else "RGB")), where)


def held_clip(frames: Iterable[Any], rate: float) -> HeldClip:
    """Frames as a clip of ``rate`` frames per second; all of them are held in memory.

    Raises MediaError for frames that are no pictures, of different sizes, or none at all.
    """
    if isinstance(frames, Image.Image):
        raise MediaError("is one picture", where="driving", fix="give a list of frames: [picture]")
    rows = [pixels_of(frame, f"frame {number}") for number, frame in enumerate(frames)]
    if not rows:
        raise MediaError("there are no frames", where="driving", fix="give at least one")
    for number, row in enumerate(rows):
        if row.shape != rows[0].shape:
            first = f"frame 0 is {rows[0].shape[1]} x {rows[0].shape[0]}"
            what = f"is {row.shape[1]} x {row.shape[0]}, {first}"
            raise MediaError(what, where=f"frame {number}", fix="give frames of one size")
    if not rate > 0:
        raise MediaError(
            f"{rate} frames per second", where="rate", fix="give a number above 0, such as 25"
        )
    rgb = torch.stack(rows)
    exact = Fraction(rate).limit_denominator(1001)
    digest = digest_of(rgb, str(exact))
    path = Path(f"frames-{digest[:12]}")
    height, width = rgb.shape[1:3]
    info = MediaInfo(path, "video", width, height, exact, 1 / exact, len(rgb), len(rgb) / exact)
    return HeldClip(path, rgb, info, digest)


def digest_of(pixels: Tensor, *facts: str) -> str:
    """sha256 (hex) of pixels with their shape and of what else decides."""
    digest = hashlib.sha256(repr((tuple(pixels.shape), facts)).encode())
    digest.update(pixels.contiguous().numpy().data)
    return digest.hexdigest()
