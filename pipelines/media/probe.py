"""What a media file is, decided by its content, not by its name."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import attrs

from mmfa_components.errors import MediaError, reason_of
from pipelines.media.animation import UNIT, animation_times, is_animated
from pipelines.media.display import pixel_shape, shown_size
from pipelines.media.images import open_image, upright_size
from pipelines.media.opening import open_container, picture_stream
from pipelines.remote import present

MOST_PACKETS = 2000
"""Packets that are tried until the first frame can be decoded."""


@attrs.frozen
class MediaInfo:
    """Facts of a media file.

    width, height: as displayed: upright, with square pixels.  rate: average frames per second, exact; 0 for images.  time_base:
    unit of timestamps in seconds.  frames: the container's count or an estimate from the picture's duration; None when unknown.
    duration: seconds.  variable_rate: the frames are probably not evenly spaced.  pixel_shape: width over height of a stored pixel.
    animation: a moving picture that Pillow reads (GIF, WebP, PNG, AVIF).
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
    has_audio: bool = False
    codec: str = ""
    pixel_format: str = ""
    pixel_shape: Fraction = Fraction(1)
    animation: bool = False


def probe(path: Path) -> MediaInfo:
    """Look at a file. Raises MediaError when it is missing, empty, damaged, too large, or holds no picture."""
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
    opened = open_image(path)
    if opened is None:
        return None
    with opened as image:
        codec = (image.format or "").lower()
        if not is_animated(image):
            width, height = upright_size(image)
            return MediaInfo(path, "image", width, height, codec=codec, pixel_format=image.mode)
        try:
            lasts = animation_times(image)
        except (OSError, ValueError, EOFError, SyntaxError) as error:
            raise MediaError(f"damaged animation ({error})", where=str(path), fix="copy the file again or convert it to MP4") from error
        rate, total = Fraction(len(lasts) * UNIT, sum(lasts)), Fraction(sum(lasts), UNIT)
        return MediaInfo(
            path, "video", *image.size, rate, Fraction(1, UNIT), len(lasts), total, len(set(lasts)) > 1, codec=codec,
            pixel_format=image.mode, animation=True,
        )  # fmt: skip


def _video_info(path: Path) -> MediaInfo:
    with open_container(path) as container:
        stream = picture_stream(container)
        if stream is None:
            what = "holds sound but no picture" if container.streams.audio else "holds no picture"
            raise MediaError(what, where=str(path), fix="give a video file")
        first = _first_frame(container, stream)
        if first is None:
            raise MediaError("holds no decodable frame (cut off or damaged)", where=str(path), fix="copy the file again or convert it")
        shape = pixel_shape(stream)
        width, height = shown_size(first, shape)
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        base = Fraction(stream.time_base or 1 / rate)
        duration = stream.duration * base if stream.duration else told_duration(stream)
        if duration is None and container.duration:
            duration = Fraction(container.duration, 1_000_000)
        frames = stream.frames or (round(duration * rate) if duration else None)
        nominal = Fraction(stream.base_rate or rate)
        return MediaInfo(
            path, "video", width, height, rate, base, frames, duration,
            variable_rate=abs(nominal / rate - 1) > Fraction(1, 1000), has_audio=bool(container.streams.audio),
            codec=stream.codec_context.name, pixel_format=str(stream.codec_context.pix_fmt or ""), pixel_shape=shape,
        )  # fmt: skip


def _first_frame(container: Any, stream: Any) -> Any:
    """The first frame that can be decoded; packets before it that cannot be are passed over. None when there is none."""
    try:
        for number, packet in enumerate(container.demux(stream)):
            try:
                frames = packet.decode() if packet.size or packet.dts is None else []
            except (OSError, ValueError):
                continue
            if frames:
                return frames[0]
            if number > MOST_PACKETS:
                return None
    except (OSError, ValueError):
        return None
    return None


def told_duration(stream: Any) -> Fraction | None:
    """Seconds a Matroska file says that its picture lasts, None where it says nothing."""
    try:
        hours, minutes, seconds = stream.metadata.get("DURATION", "").split(":")
        return Fraction(hours) * 3600 + Fraction(minutes) * 60 + Fraction(seconds)
    except ValueError:
        return None


def require_video(info: MediaInfo) -> None:
    """Raise MediaError when the file is a still image where a video is needed."""
    if info.kind != "video":
        fix = "give a video; one picture drives with: mmfa animate SOURCE PICTURE"
        raise MediaError("is a still image, but a video is needed here", where=str(info.path), fix=fix)


def require_image(info: MediaInfo) -> None:
    """Raise MediaError when the file is a video where a still image is needed."""
    if info.kind != "image":
        raise MediaError("is a video, but a still image is needed here", where=str(info.path), fix="give a PNG or JPEG")
