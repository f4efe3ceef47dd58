"""Kinds of result files: which suffix stands for which container, what it takes, and which one an encoder goes into by itself."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import attrs
import av

from mmfa_components.errors import ConfigError


@attrs.frozen
class Container:
    """One kind of file. name: FFmpeg's.  codec: the encoder used when only the suffix is given.  sound: whether it holds any."""

    name: str
    codec: str
    sound: bool = True


CONTAINERS = {
    ".mp4": Container("mp4", "libx264"),
    ".m4v": Container("mp4", "libx264"),
    ".mov": Container("mov", "libx264"),
    ".mkv": Container("matroska", "libx264"),
    ".webm": Container("webm", "libvpx-vp9"),
    ".gif": Container("gif", "gif", sound=False),
    ".webp": Container("webp", "libwebp_anim", sound=False),
}
"""Kinds of moving result by suffix."""
STILLS = (".png", ".jpg", ".jpeg")
"""Kinds of result that is one picture."""
OWN = {"gif": ".gif", "libwebp_anim": ".webp", "libwebp": ".webp", "webp": ".webp"}
"""Encoders that have a kind of file of their own."""
MP4_CODECS = ("libx264", "libx265", "h264", "hevc", "mpeg4", "libsvtav1", "libaom-av1", "libopenh264", "av1", "libvpx-vp9")


def suffix_of(codec: str) -> str:
    """The suffix of results of an encoder: .mp4 where players expect it, .mov for ProRes, .gif, .webp, else .mkv, which takes nearly all."""
    if codec in OWN:
        return OWN[codec]
    if codec.startswith("prores"):
        return ".mov"
    return ".mp4" if codec.startswith(MP4_CODECS) else ".mkv"


def check_container(path: Path, codec: str) -> None:
    """Raise ConfigError when files of this suffix do not take this encoder, or the suffix is none of a moving picture."""
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS:
        raise ConfigError(f"results cannot be written as {suffix or path.name}", where=str(path), fix=f"use {', '.join(CONTAINERS)}")
    container = CONTAINERS[suffix]
    try:
        kind = av.Codec(codec, "w").canonical_name
    except ValueError:
        return  # an encoder that does not exist is told by check_codec
    if kind not in _taken(container.name):
        fix = f'name it {suffix_of(codec)}, or set output.codec = "{container.codec}"'
        raise ConfigError(f"{suffix} files do not hold {codec}", where=str(path), fix=fix)


@cache
def _taken(name: str) -> frozenset[str]:
    """Names of the codecs a container takes."""
    with av.open(io.BytesIO(), "w", format=name) as container:
        return frozenset(container.supported_codecs)
