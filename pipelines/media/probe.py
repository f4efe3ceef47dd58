"""What a media file is, decided by its content, not by its name."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import attrs
import av
from PIL import Image, ImageOps, UnidentifiedImageError

from mmfa_components.errors import MediaError, reason_of
from pipelines.remote import present


@attrs.frozen
class MediaInfo:
    """Facts of a media file.

    width, height: as displayed, rotation applied.  rate: average frames per second, exact; 0 for images.  time_base: unit of
    timestamps in seconds.  frames: the container's count or an estimate from its duration; None when unknown.  duration: seconds.
    variable_rate: the frames are probably not evenly spaced.  rotation: degrees counter-clockwise that was applied.
    """

    path: Path
    kind: Literal["image", "video"]
    width: int
    height: int
    rate: Fraction = Fraction(0)
    time_base: Fraction = Fraction(1)
    frames: int | None = 1
    duration: Fraction | None = None
    variable_rate: bool = False
    rotation: int = 0
    has_audio: bool = False
    codec: str = ""
    pixel_format: str = ""


def probe(path: Path) -> MediaInfo:
    """Look at a file. Raises MediaError when it is missing, empty, damaged, or holds no picture."""
    path = present(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise MediaError(f"cannot be read ({reason_of(error)})", where=str(path), fix="check the path") from error
    if path.is_dir():
        raise MediaError("is a folder", where=str(path), fix="name the files in it, e.g. with a glob")
    if size == 0:
        raise MediaError("is empty (0 bytes)", where=str(path), fix="copy or download the file again")
    image = _image_info(path)
    return image if image else _video_info(path)


def _image_info(path: Path) -> MediaInfo | None:
    try:
        with Image.open(path) as image:
            if getattr(image, "n_frames", 1) > 1 and image.format in ("GIF", "WEBP", "PNG"):
                return None  # an animation: read as video
            width, height = ImageOps.exif_transpose(image).size if image.getexif().get(274, 1) > 4 else image.size
            return MediaInfo(path, "image", width, height, codec=(image.format or "").lower(), pixel_format=image.mode)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None


def open_container(path: Path) -> Any:
    """Open a container for reading. Raises MediaError with the likely cause."""
    try:
        return av.open(str(path))
    except (OSError, ValueError) as error:
        text = str(error)
        cause = "the file is cut off or damaged" if "moov" in text or "Invalid data" in text else text
        raise MediaError(f"is no readable video or image ({cause})", where=str(path), fix="copy it again, or convert it to MP4 or PNG") from error


def _video_info(path: Path) -> MediaInfo:
    with open_container(path) as container:
        if not container.streams.video:
            what = "holds sound but no picture" if container.streams.audio else "holds no picture"
            raise MediaError(what, where=str(path), fix="give a video file")
        stream = container.streams.video[0]
        try:
            first = next(iter(container.decode(stream)), None)
        except (OSError, ValueError) as error:
            raise MediaError(f"no frame can be decoded ({error})", where=str(path), fix="copy the file again or convert it") from error
        if first is None:
            raise MediaError("holds no decodable frame (cut off or damaged)", where=str(path), fix="copy the file again or convert it")
        turn = frame_rotation(first)
        width, height = (first.height, first.width) if turn % 180 else (first.width, first.height)
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        base = Fraction(stream.time_base or 1 / rate)
        duration = stream.duration * base if stream.duration else None
        if duration is None and container.duration:
            duration = Fraction(container.duration, 1_000_000)
        frames = stream.frames or (round(duration * rate) if duration else None)
        nominal = Fraction(stream.base_rate or rate)
        return MediaInfo(
            path, "video", width, height, rate, base, frames, duration,
            variable_rate=abs(nominal / rate - 1) > Fraction(1, 1000), rotation=turn, has_audio=bool(container.streams.audio),
            codec=stream.codec_context.name, pixel_format=str(stream.codec_context.pix_fmt or ""),
        )  # fmt: skip


def frame_rotation(frame: Any) -> int:
    """Degrees counter-clockwise, a multiple of 90, by which a decoded frame must be turned to be upright."""
    return round(float(frame.rotation or 0) / 90) * 90 % 360


def require_video(info: MediaInfo) -> None:
    """Raise MediaError when the file is a still image where a video is needed."""
    if info.kind != "video":
        raise MediaError("is a still image, but a video is needed here", where=str(info.path), fix="give a video as driving clip")


def require_image(info: MediaInfo) -> None:
    """Raise MediaError when the file is a video where a still image is needed."""
    if info.kind != "image":
        raise MediaError("is a video, but a still image is needed here", where=str(info.path), fix="give a PNG or JPEG")
