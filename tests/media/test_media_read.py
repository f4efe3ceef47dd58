"""Reading video: what a file is, exact times, any pixel format, damage, memory."""

import itertools
import resource
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from media_samples import clip, moving_clip, picture, sound_only, truncated

from mmfa_components.errors import MediaError
from pipelines.media import MediaInfo, open_video, probe, require_image, require_video, write_image


def frames_of(path: Path) -> torch.Tensor:
    with open_video(path) as reader:
        return torch.cat([span.rgb for span in reader.spans(5)])


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(25), Fraction(12)])
def test_rates_are_exact(tmp_path: Path, rate: Fraction) -> None:
    info = probe(clip(tmp_path / "a.mp4", rate=rate))
    assert info.rate == rate
    assert (info.kind, info.width, info.height, info.frames, info.variable_rate) == ("video", 64, 48, 12, False)
    with open_video(info.path) as reader:
        times = [p * info.time_base for span in reader.spans(5) for p in span.pts]
    assert times == [i / rate for i in range(12)]


def test_variable_rate_keeps_every_timestamp(tmp_path: Path) -> None:
    stamps = [0, 40, 55, 200, 240, 1000]
    path = clip(tmp_path / "a.mp4", 6, pts=stamps, time_base=Fraction(1, 1000))
    info = probe(path)
    assert info.variable_rate
    with open_video(path) as reader:
        assert [p * info.time_base * 1000 for span in reader.spans(4) for p in span.pts] == stamps


def test_spans_cut_and_repeat(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 12)
    with open_video(path) as reader:
        assert [(s.start, len(s.rgb), len(s.pts)) for s in reader.spans(5)] == [(0, 5, 5), (5, 5, 5), (10, 2, 2)]
        part = list(reader.spans(4, 3, 9))
        assert [(s.start, len(s.rgb)) for s in part] == [(3, 4), (7, 2)]
        assert not reader.damage
    whole = frames_of(path)
    assert torch.equal(torch.cat([s.rgb for s in part]), whole[3:9])
    colours = whole[:, 40, 60, 0].float()
    torch.testing.assert_close(colours, torch.tensor([40.0 + 3 * i for i in range(12)]), atol=4, rtol=0)


@pytest.mark.parametrize(
    ("pixel_format", "codec", "suffix"),
    [
        ("yuv420p", "libx264", ".mp4"), ("yuv420p10le", "libx264", ".mp4"), ("yuv444p", "libx264", ".mp4"), ("gray", "ffv1", ".mkv"),
        ("gray16le", "ffv1", ".mkv"), ("bgr0", "ffv1", ".mkv"), ("yuvj420p", "mjpeg", ".mov"),
    ],
)  # fmt: skip
def test_pixel_formats(tmp_path: Path, pixel_format: str, codec: str, suffix: str) -> None:
    got = frames_of(clip(tmp_path / f"a{suffix}", 3, pixel_format=pixel_format, codec=codec))
    assert got.dtype == torch.uint8
    wanted = torch.from_numpy(picture(1))[40, 60].float()
    if pixel_format.startswith("gray"):
        wanted = (wanted * torch.tensor([0.299, 0.587, 0.114])).sum().expand(3)
    torch.testing.assert_close(got[1, 40, 60].float(), wanted, atol=6, rtol=0)
    assert int(got[1, 3, 3].min()) > 215


@pytest.mark.parametrize("size", [(63, 47), (2, 2), (3840, 2160)])
def test_odd_and_large_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = clip(tmp_path / "a.mkv", 1, size=size, codec="ffv1", pixel_format="yuv444p")
    assert (probe(path).width, probe(path).height) == size
    assert frames_of(path).shape == (1, size[1], size[0], 3)


def rotate(path: Path, degrees: int, out: Path) -> Path:
    """Patch the display matrix of an MP4's track header: a rotation of the shown picture, clockwise."""
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 4 + 40  # after version, flags, times, id, duration, layer, volume
    one = 65536
    matrix = {90: (0, one, 0, -one, 0, 0), 180: (-one, 0, 0, 0, -one, 0), 270: (0, -one, 0, one, 0, 0)}[degrees]
    for index, value in enumerate(matrix):
        data[at + 4 * index : at + 4 * index + 4] = value.to_bytes(4, "big", signed=True)
    out.write_bytes(data)
    return out


@pytest.mark.parametrize(("degrees", "corner"), [(90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_rotation_metadata_gives_upright_frames(tmp_path: Path, degrees: int, corner: tuple[int, int]) -> None:
    path = rotate(clip(tmp_path / "a.mp4", 2), degrees, tmp_path / "turned.mp4")
    info = probe(path)
    assert (info.width, info.height) == ((48, 64) if degrees != 180 else (64, 48))
    got = frames_of(path)[0]
    assert got.shape[:2] == (info.height, info.width)
    y, x = (3 if c == 0 else -4 for c in corner)
    assert int(got[y, x].min()) > 215  # the bright corner turned clockwise


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    video = clip(tmp_path / "a.mp4", 2).rename(tmp_path / "video.png")
    assert probe(video).kind == "video"
    write_image(tmp_path / "b.png", torch.zeros(4, 6, 3, dtype=torch.uint8))
    image = (tmp_path / "b.png").rename(tmp_path / "image.mp4")
    info = probe(image)
    assert (info.kind, info.width, info.height, info.rate) == ("image", 6, 4, 0)
    with pytest.raises(MediaError, match=r"image\.mp4: is a still image"):
        open_video(image)
    with pytest.raises(MediaError, match="is a video"):
        require_image(probe(video))
    require_video(probe(video))


def test_bad_files_name_the_cause(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video")
    whole = clip(tmp_path / "whole.mp4", 30)
    causes = {
        "empty.mp4": "0 bytes",
        "text.mp4": "no readable video",
        truncated(tmp_path / "cut.mp4", whole).name: "cut off or damaged",
        sound_only(tmp_path / "sound.m4a").name: "sound but no picture",
        "missing.mp4": "No such file",
    }
    for name, cause in causes.items():
        with pytest.raises(MediaError, match=cause) as caught:
            probe(tmp_path / name)
        assert name in str(caught.value)
        assert caught.value.fix
    with pytest.raises(MediaError, match="folder"):
        probe(tmp_path)


def test_a_truncated_tail_gives_all_frames_before_it(tmp_path: Path) -> None:
    whole = clip(tmp_path / "a.mkv", 60)
    cut = truncated(tmp_path / "cut.mkv", whole, 0.6)
    with open_video(cut) as reader:
        got = torch.cat([span.rgb for span in reader.spans(7)])
        assert "cut off" in reader.damage  # what the run report warns by
    assert 5 < len(got) < 60
    assert torch.equal(got[:-1], frames_of(whole)[: len(got) - 1])  # the decoder patches up the one that is cut


def test_one_frame(tmp_path: Path) -> None:
    assert len(frames_of(clip(tmp_path / "a.mp4", 1))) == 1


def test_sound_is_noticed(tmp_path: Path) -> None:
    assert probe(clip(tmp_path / "a.mp4", sound=0.4)).has_audio
    assert not probe(clip(tmp_path / "b.mp4")).has_audio


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    path = clip(tmp_path / "long.mp4", 1500, size=(320, 240))  # 345 MB of frames
    code = (
        "import resource, sys\nfrom pipelines.media import open_video\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"reader = open_video({str(path)!r}).__enter__()\nspans = reader.spans(16)\n"
        "for _ in range(8): next(spans)\nearly = peak()\ncount = sum(len(s.pts) for s in spans)\nprint(count, peak() - early)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout
    count, growth = map(int, out.split())
    assert count == 1500 - 8 * 16
    assert growth < 40_000  # KiB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
    assert isinstance(probe(path), MediaInfo)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {}),
        ("open.mp4", "libx264", {"x264-params": "open-gop=1:keyint=20"}),
        ("refresh.mp4", "libx264", {"x264-params": "intra-refresh=1:keyint=20"}),
        ("a.mkv", "libx264", {"g": "20"}),
        ("a.ts", "libx264", {"g": "20"}),
        ("a.mpg", "mpeg2video", {"bf": "2"}),
        ("a.avi", "mpeg4", {}),
        ("a.webm", "libvpx-vp9", {"deadline": "realtime", "g": "20"}),
    ],
)
def test_a_file_entered_in_the_middle_gives_the_frames_it_gives_from_its_beginning(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = moving_clip(tmp_path / name, 90, codec, options)
    with open_video(path) as reader:
        whole = [(frame.pts, frame.rgb()) for frame in reader.frames()]
    with open_video(path) as reader:
        for first in (1, 19, 20, 21, 41, 79, len(whole) - 1):
            part = [(frame.pts, frame.rgb()) for frame in itertools.islice(reader.frames(first, whole[first][0]), 4)]
            assert [pts for pts, _ in part] == [pts for pts, _ in whole[first : first + 4]]
            assert all(torch.equal(a, b) for (_, a), (_, b) in zip(part, whole[first : first + 4], strict=True))


def test_a_file_is_entered_at_a_keyframe_and_only_where_its_timestamp_is_met(tmp_path: Path) -> None:
    path = moving_clip(tmp_path / "a.mp4", 90, "libx264", {"g": "20"})
    with open_video(path) as reader:
        stamps = [frame.pts for frame in reader.frames()]
        decoded = reader._decoded

        def counted(pts: int | None = None) -> Iterator[Any]:
            return (seen.append(frame.pts) or frame for frame in decoded(pts))  # type: ignore[func-returns-value]

        reader._decoded = counted  # type: ignore[method-assign]
        seen: list[int] = []
        assert next(reader.frames(85, stamps[85])).pts == stamps[85]
        assert seen == stamps[80:86]
        seen.clear()
        assert next(reader.frames(85, stamps[85] + 1)).pts == stamps[85]  # no such timestamp: from the beginning
        assert seen[-86:] == stamps[:86]
