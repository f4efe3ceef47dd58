"""Still images by Pillow: any common kind in, upright 8-bit RGB with separate alpha; written whole or not at all."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import numpy as np
import torch
from PIL import Image, ImageOps, PngImagePlugin
from torch import Tensor

from mmfa_components.errors import MediaError, OutputError
from pipelines.media.colour import to_srgb
from pipelines.media.notes import DESCRIPTION, ORIENTATION
from pipelines.media.partial import make_folder, output_error, partial_name, seal_and_publish
from pipelines.remote import present

MOST_PIXELS = 400_000_000
"""Largest picture that is read at all."""
ENOUGH_PIXELS = 64_000_000
"""Larger pictures are read at a half, a third ... of their size."""
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError)


@attrs.frozen(eq=False)
class StillImage:
    """An upright image in sRGB. rgb: (H, W, 3) uint8.  alpha: (H, W) uint8, or None when the file has none.

    reduced: by how much its sides were divided while reading; 1 for all but huge pictures.
    """

    rgb: Tensor
    alpha: Tensor | None = None
    reduced: int = 1


def open_image(path: Path) -> Image.Image | None:
    """A picture, opened but not decoded; None when the file is none Pillow reads.

    Raises MediaError for a HEIC without the package that reads it, and for one of more than MOST_PIXELS.
    """
    heif = _is_heif(path)
    if heif and not _register_heif():
        fix = "pip install 'mmfa[heic]', or convert it to JPEG"
        raise MediaError("is a HEIC picture, which needs the package pillow-heif", where=str(path), fix=fix)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours is MOST_PIXELS
        try:
            image = Image.open(path)
        except UNREADABLE as error:
            if heif:
                raise MediaError(f"damaged HEIC picture ({error})", where=str(path), fix="copy the file again, or convert it to JPEG") from error
            return None
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    if image.width * image.height > MOST_PIXELS:
        image.close()
        what = f"has {image.width} x {image.height} pixels, more than the {MOST_PIXELS // 1_000_000} million that are read"
        raise MediaError(what, where=str(path), fix="make it smaller, e.g. 8000 pixels wide")
    return image


def _is_heif(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return False
    brands = {head[8:12], *(head[i : i + 4] for i in range(16, min(len(head), int.from_bytes(head[:4], "big")), 4))}
    return head[4:8] == b"ftyp" and bool(brands & HEIF_BRANDS) and not brands & {b"avif", b"avis"}


def _register_heif() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def reduction(image: Image.Image) -> int:
    """By how much the sides of an opened picture are divided while reading."""
    return max(1, math.ceil(math.sqrt(image.width * image.height / ENOUGH_PIXELS)))


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an opened picture as :func:`read_image` gives it."""
    factor = reduction(image)
    width, height = (-(-side // factor) for side in image.size)
    return (height, width) if image.getexif().get(ORIENTATION, 1) > 4 else (width, height)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits scaled to 8, not clipped."""
    wide = np.asarray(image)
    if wide.dtype.kind == "f":
        wide = wide.astype(np.float64) * (255.0 if wide.size and wide.max() <= 1.0 else 1.0)
    else:
        wide = wide.astype(np.float64) * (255.0 / 65535.0)
    return Image.fromarray(np.clip(np.rint(wide), 0, 255).astype(np.uint8))


def read_image(path: Path) -> StillImage:
    """Read a still image: EXIF orientation and colour profile applied; CMYK, grey, palette, 1-bit and 16-bit turned into 8-bit RGB;
    alpha kept apart; one of more than ENOUGH_PIXELS made smaller.

    Raises MediaError when the file is missing, empty, damaged or no image.
    """
    path = present(path)
    if not path.exists():
        raise MediaError("no such file", where=str(path), fix="check the path")
    opened = open_image(path)
    if opened is None:
        raise MediaError("is no image Pillow can read", where=str(path), fix="convert it to PNG or JPEG")
    try:
        with opened:
            factor = reduction(opened)
            image: Image.Image = opened
            if image.mode.startswith("I") or image.mode == "F":
                image = _eight_bit(image)
            clear = "A" in image.getbands() or "transparency" in image.info
            if factor > 1:
                image = image.convert("RGBA" if clear else "RGB") if image.mode not in ("L", "RGB", "RGBA", "CMYK") else image
                profile, exif = opened.info.get("icc_profile"), opened.getexif()
                image = image.reduce(factor)
                image.info["icc_profile"] = profile
                image = _turned(image, exif.get(ORIENTATION, 1))
            else:
                image = ImageOps.exif_transpose(image)
            alpha = None
            if clear:
                image = image.convert("RGBA")
                alpha = torch.from_numpy(np.array(image.getchannel("A")))
                profile = image.info.get("icc_profile")
                image = image.convert("RGB")
                image.info["icc_profile"] = profile
            return StillImage(torch.from_numpy(np.array(to_srgb(image).convert("RGB"))), alpha, factor)
    except UNREADABLE as error:
        raise MediaError(f"damaged or unreadable image ({error})", where=str(path), fix="copy the file again or convert it to PNG") from error


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    """A picture turned by EXIF's number, where its own note of it was lost."""
    way = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
    }.get(orientation)  # fmt: skip
    if way is None:
        return image
    profile = image.info.get("icc_profile")
    image = image.transpose(way)
    image.info["icc_profile"] = profile
    return image


def write_image(
    path: Path, rgb: Tensor, alpha: Tensor | None = None, metadata: Mapping[str, str] | None = None, seal: Callable[[Path], None] | None = None
) -> None:
    """Write an image atomically; the format follows the suffix. ``metadata`` goes into PNG text or JPEG's image description; ``seal`` may sign
    the finished file.

    rgb: (H, W, 3) uint8.  alpha: (H, W) uint8 or None.  Raises OutputError (disk full, not writable, unknown suffix).
    """
    path = Path(path)
    make_folder(path.parent)
    pixels = rgb.cpu() if alpha is None else torch.cat([rgb.cpu(), alpha.cpu()[..., None]], -1)
    partial = partial_name(path)
    try:
        if path.suffix.lower() == ".png":
            text = PngImagePlugin.PngInfo()
            if metadata:
                text.add_itxt("mmfa", json.dumps(dict(metadata), sort_keys=True))
            Image.fromarray(pixels.numpy()).save(partial, pnginfo=text)
        elif metadata and path.suffix.lower() in (".jpg", ".jpeg"):
            exif = Image.Exif()
            exif[DESCRIPTION] = json.dumps(dict(metadata), sort_keys=True)
            Image.fromarray(pixels.numpy()).save(partial, exif=exif)
        else:
            Image.fromarray(pixels.numpy()).save(partial)
    except ValueError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"cannot be written as {path.suffix or 'a file without suffix'} ({error})", where=str(path), fix="use .png") from error
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise output_error(error, path) from error
    seal_and_publish(partial, path, seal)
