"""Still images by Pillow: any common kind in, upright 8-bit RGB with separate alpha; written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import numpy as np
import torch
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from mmfa_components.errors import MediaError, OutputError
from pipelines.media.notes import DESCRIPTION
from pipelines.media.partial import make_folder, output_error, partial_name, seal_and_publish
from pipelines.remote import present


@attrs.frozen(eq=False)
class StillImage:
    """An upright image. rgb: (H, W, 3) uint8.  alpha: (H, W) uint8, or None when the file has none."""

    rgb: Tensor
    alpha: Tensor | None = None


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits scaled to 8, not clipped."""
    wide = np.asarray(image)
    if wide.dtype.kind == "f":
        wide = wide.astype(np.float64) * (255.0 if wide.size and wide.max() <= 1.0 else 1.0)
    else:
        wide = wide.astype(np.float64) * (255.0 / 65535.0)
    return Image.fromarray(np.clip(np.rint(wide), 0, 255).astype(np.uint8))


def read_image(path: Path) -> StillImage:
    """Read a still image: EXIF orientation applied; CMYK, grey, palette, 1-bit and 16-bit turned into 8-bit RGB; alpha kept apart.

    Raises MediaError when the file is missing, empty, damaged or no image.
    """
    path = present(path)
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I") or image.mode == "F":
                image = _eight_bit(image)
            alpha = None
            if "A" in image.getbands() or "transparency" in image.info:
                image = image.convert("RGBA")
                alpha = torch.from_numpy(np.array(image.getchannel("A")))
            return StillImage(torch.from_numpy(np.array(image.convert("RGB"))), alpha)
    except FileNotFoundError as error:
        raise MediaError("no such file", where=str(path), fix="check the path") from error
    except UnidentifiedImageError as error:
        raise MediaError("is no image Pillow can read", where=str(path), fix="convert it to PNG or JPEG") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(f"damaged or unreadable image ({error})", where=str(path), fix="copy the file again or convert it to PNG") from error


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
