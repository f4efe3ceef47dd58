"""Segments: encoded apart, joined to one film, with every encoder that is joined."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from torch import Tensor

from mmfa_components.errors import OutputError
from pipelines.media import SEGMENT, Coding, Segment, SegmentEncoder, VideoWriter, open_video, probe, suffix_of
from pipelines.media.segments import JOINED

WIDTH, HEIGHT = 64, 48
CLOCKS = {
    "25": (Fraction(1, 25), Fraction(25), lambda i: i),
    "30000/1001": (Fraction(1, 30000), Fraction(30000, 1001), lambda i: 1001 * i),
    "24000/1001 in its own units": (Fraction(1001, 24000), Fraction(24000, 1001), lambda i: i + 7),
    "90 kHz": (Fraction(1, 90000), Fraction(24), lambda i: 3750 * i),
    "harsh": (Fraction(1, 1000), Fraction(25), lambda i: 5000 + 40 * i + (900 if i > 40 else 0) - 37 * (i % 2) + 3000 * (i > 131)),
}


def moving(count: int, width: int = WIDTH, height: int = HEIGHT) -> Tensor:
    """Frames (n, H, W, 3) uint8 of a smooth pattern in which a soft light moves."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    base = torch.stack([120 + 60 * torch.sin(x / 9.0), 100 + y * 1.5, 150 - x * 0.8], -1)
    frames = []
    for i in range(count):
        at = (width - 12) * (0.5 + 0.5 * math.sin(i / 11))
        light = torch.exp(-(((x - at) / 9.0) ** 2))[..., None]
        frames.append(base + light * torch.tensor([70.0, 50.0, 60.0]))
    return torch.stack(frames).round().to(torch.uint8)


def encoded(coding: Coding, rgb: Tensor, stamps: list[int]) -> Segment:
    encoder = SegmentEncoder(coding)
    for first in range(0, len(rgb), 24):
        encoder.add(rgb[first : first + 24], stamps[first : first + 24])
    return encoder.finish()


def film(path: Path, codec: str, rgb: Tensor, clock: str = "25", length: int = SEGMENT, workers: int = 1) -> list[int]:
    """Write ``rgb`` in segments of ``length`` frames that several threads encode; gives the timestamps."""
    base, rate, stamp = CLOCKS[clock]
    stamps = [stamp(i) for i in range(len(rgb))]
    with VideoWriter(path, rgb.shape[2], rgb.shape[1], base, rate, codec, quality=12) as writer, ThreadPoolExecutor(workers) as pool:
        parts = [slice(a, a + length) for a in range(0, len(rgb), length)]
        for segment in pool.map(lambda part: encoded(writer.coding.on_workers, rgb[part], stamps[part]), parts):
            writer.join(segment)
    return stamps


def shown(path: Path) -> tuple[Tensor, list[Fraction]]:
    with open_video(path) as reader:
        spans = list(reader.spans(32))
        assert not reader.damage
        return torch.cat([s.rgb for s in spans]), [p * reader.info.time_base for s in spans for p in s.pts]


def psnr(one: Tensor, other: Tensor) -> Tensor:
    """PSNR in dB of each frame."""
    return 10 * torch.log10(255**2 / (one.float() - other.float()).square().flatten(1).mean(1).clamp_min(1e-3))


@pytest.mark.parametrize("codec", JOINED)
def test_every_joined_encoder_gives_every_frame_at_its_time_across_seams(tmp_path: Path, codec: str) -> None:
    rgb = moving(75)
    path = tmp_path / f"a{suffix_of(codec)}"
    stamps = film(path, codec, rgb, length=30)
    got, times = shown(path)
    assert times == [Fraction(s, 25) for s in stamps]
    assert probe(path).rate == 25
    quality = psnr(got, rgb)
    assert quality.min() > 38, quality  # colours as well: 35 where the file does not say what they are
    seams = quality[[29, 30, 59, 60]]
    assert seams.min() > quality.mean() - 2  # nothing happens where segments meet
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    assert all(packets[i].is_keyframe for i in (0, 30, 60))


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "mpeg4"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_times_are_exact_with_every_clock(tmp_path: Path, clock: str, codec: str, suffix: str) -> None:
    base = CLOCKS[clock][0]
    path = tmp_path / f"a{suffix}"
    stamps = film(path, codec, moving(2 * SEGMENT + 5), clock)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [p for p in container.demux(stream) if p.size]
        got = sorted(p.pts * stream.time_base for p in packets)
    wanted = [(s - stamps[0]) * base for s in stamps]
    close = 0 if suffix == ".mp4" else Fraction(1, 2000)  # Matroska counts milliseconds
    assert max(abs(a - b) for a, b in zip(got, wanted, strict=True)) <= close
    if suffix == ".mp4":  # which stores when packets are decoded
        assert all(a.dts < b.dts for a, b in itertools.pairwise(packets))
        assert all(p.dts <= p.pts for p in packets)
    if clock != "harsh":
        assert probe(path).rate == CLOCKS[clock][1]


def test_pictures_are_shown_out_of_the_order_they_are_decoded_in(tmp_path: Path) -> None:
    """B-frames are made, and made use of, in every segment."""
    film(tmp_path / "a.mp4", "libx264", moving(60), length=30)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stamps = [p.pts for p in container.demux(video=0) if p.size]
    for part in (stamps[:30], stamps[30:]):
        assert part != sorted(part)
    assert max(stamps[:30]) < min(stamps[30:])  # closed: no picture of a segment needs the next one


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvpx-vp9"])
def test_bytes_do_not_depend_on_who_encodes_or_in_what_pieces(tmp_path: Path, codec: str) -> None:
    rgb = moving(SEGMENT + 40)
    made = []
    for name, workers in (("a", 1), ("b", 3), ("c", 2)):
        film(tmp_path / f"{name}.mp4", codec, rgb, workers=workers)
        made.append((tmp_path / f"{name}.mp4").read_bytes())
    with VideoWriter(tmp_path / "d.mp4", WIDTH, HEIGHT, Fraction(1, 25), Fraction(25), codec, quality=12) as writer:
        for first in range(0, len(rgb), 7):
            part = rgb[first : first + 7]
            writer.write(part, list(range(first, first + len(part))))
    made.append((tmp_path / "d.mp4").read_bytes())
    assert len(set(made)) == 1


@pytest.mark.parametrize(("codec", "suffix"), [("gif", ".gif"), ("libwebp_anim", ".webp"), ("libvpx", ".webm")])
def test_others_get_the_same_frames_from_workers_as_at_once(tmp_path: Path, codec: str, suffix: str) -> None:
    rgb = moving(25, 63, 47)
    film(tmp_path / f"a{suffix}", codec, rgb, length=10)
    with VideoWriter(tmp_path / f"b{suffix}", 63, 47, Fraction(1, 25), Fraction(25), codec, quality=12) as writer:
        writer.write(rgb, list(range(25)))
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_segments_of_another_encoder_are_refused(tmp_path: Path) -> None:
    coding = Coding("libx264", 12, WIDTH, HEIGHT, Fraction(1, 25), Fraction(25))
    other = Coding("libx264", 12, WIDTH + 16, HEIGHT, Fraction(1, 25), Fraction(25))

    def mixed() -> None:
        with VideoWriter(tmp_path / "a.mp4", WIDTH, HEIGHT, Fraction(1, 25), Fraction(25)) as writer:
            writer.join(encoded(coding, moving(5), list(range(5))))
            writer.join(encoded(other, moving(5, WIDTH + 16), list(range(5, 10))))

    with pytest.raises(OutputError, match="different headers"):
        mixed()
    assert list(tmp_path.iterdir()) == []
