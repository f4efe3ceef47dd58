"""Kinds 10, 11 and 12: a video is read as it is displayed: turned, mirrored, in shape, in colour."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from field_media import MAN, pictures, resized, write

from pipelines.media import open_video, probe, read_image

ONE = 65536
MAN0 = pictures(MAN, 1)[0]


def frames(path: Path) -> np.ndarray:
    with open_video(path) as reader:
        return np.stack([f.rgb().numpy() for f in reader.frames()])


def with_matrix(path: Path, rgb: np.ndarray, matrix: tuple[int, int, int, int]) -> Path:
    """A clip whose track header holds a display matrix (a b / c d)."""
    buffer = io.BytesIO()
    write(buffer, [rgb] * 2, form="mp4", options={"crf": "4"})
    data = bytearray(buffer.getvalue())
    at = data.find(b"tkhd") + 4 + 40
    a, b, c, d = matrix
    for k, v in enumerate((a * ONE, b * ONE, 0, c * ONE, d * ONE, 0)):
        data[at + 4 * k : at + 4 * k + 4] = int(v).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path


EIGHT = {  # matrix (a b / c d) -> what FFmpeg's own filters make of the picture: transpose, hflip, vflip
    (1, 0, 0, 1): lambda p: p,
    (-1, 0, 0, 1): lambda p: p[:, ::-1],
    (1, 0, 0, -1): lambda p: p[::-1],
    (-1, 0, 0, -1): lambda p: p[::-1, ::-1],
    (0, 1, -1, 0): lambda p: p.transpose(1, 0, 2)[:, ::-1],  # clock
    (0, -1, 1, 0): lambda p: p.transpose(1, 0, 2)[::-1],  # cclock
    (0, 1, 1, 0): lambda p: p.transpose(1, 0, 2),  # cclock_flip
    (0, -1, -1, 0): lambda p: p.transpose(1, 0, 2)[::-1, ::-1],  # clock_flip
}


@pytest.mark.parametrize("matrix", list(EIGHT))
def test_all_eight_display_matrices(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    rgb = resized(MAN0, 160, 90)[:88]
    path = with_matrix(tmp_path / "a.mp4", rgb, matrix)
    wanted = EIGHT[matrix](rgb)
    info = probe(path)
    assert (info.height, info.width) == wanted.shape[:2]
    got = frames(path)[0]
    assert np.abs(got.astype(int) - wanted).mean() < 3
    assert np.abs(got.astype(int) - autorotated(path)).mean() < 3


def autorotated(path: Path) -> np.ndarray:
    """The first frame as FFmpeg's filters turn it, chosen as ffmpeg's own program does."""
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
        item = next((s for s in frame.side_data if s.type.name == "DISPLAYMATRIX"), None)
        if item is None:
            return frame.to_ndarray(format="rgb24")
        m = np.frombuffer(bytes(item), np.int32)
        theta = float(np.degrees(np.arctan2(m[1], m[0]))) % 360
        steps: list[tuple[str, str]] = []
        if abs(theta - 90) < 1:
            steps = [("transpose", "cclock_flip" if m[3] > 0 else "clock")]
        elif abs(theta - 180) < 1:
            steps = [("hflip", "")] * int(m[0] < 0) + [("vflip", "")] * int(m[4] < 0)
        elif abs(theta - 270) < 1:
            steps = [("transpose", "clock_flip" if m[3] < 0 else "cclock")]
        elif m[4] < 0:
            steps = [("vflip", "")]
        graph = av.filter.Graph()
        last: Any = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 30))
        for name, argument in [*steps, ("buffersink", "")]:
            node = graph.add(name, argument) if argument else graph.add(name)
            last.link_to(node)
            last = node
        graph.configure()
        graph.push(frame)
        return graph.pull().to_ndarray(format="rgb24")


@pytest.mark.parametrize(
    ("shape", "stored"),
    [(Fraction(4, 3), (480, 360)), (Fraction(2), (320, 360)), (Fraction(8, 9), (720, 360)), (Fraction(1, 2), (1280, 360))],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pixels_are_made_square(tmp_path: Path, shape: Fraction, stored: tuple[int, int], suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", [resized(MAN0, *stored)] * 2, sar=shape)
    info = probe(path)
    assert info.width / info.height == pytest.approx(16 / 9, rel=0.01)
    assert info.width >= stored[0]
    assert info.height >= stored[1]
    got = frames(path)[0]
    assert got.shape[:2] == (info.height, info.width)
    assert np.abs(got.astype(int) - resized(MAN0, info.width, info.height)).mean() < 4


def test_square_pixels_of_a_turned_video(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    write(buffer, [resized(MAN0, 320, 360)] * 2, form="mp4", sar=Fraction(2))
    data = bytearray(buffer.getvalue())
    at = data.find(b"tkhd") + 4 + 40
    for k, v in enumerate((0, ONE, 0, -ONE, 0, 0)):
        data[at + 4 * k : at + 4 * k + 4] = v.to_bytes(4, "big", signed=True)
    (tmp_path / "turned.mp4").write_bytes(data)
    info = probe(tmp_path / "turned.mp4")
    assert (info.width, info.height) == (360, 640)


@pytest.mark.parametrize("shape", [Fraction(0), Fraction(100)])
def test_nonsense_shapes_are_square(tmp_path: Path, shape: Fraction) -> None:
    assert probe(write(tmp_path / "a.mkv", [MAN0] * 2, sar=shape or None)).width == 640


# ---- colour -----------------------------------------------------------------------------------------
TO2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
TO_P3 = np.array([[0.8225, 0.1775, 0.0], [0.0332, 0.9668, 0.0], [0.0171, 0.0724, 0.9105]])


def wide_clip(path: Path, transfer: str, primaries: str = "bt2020") -> Path:
    """The man in wide colours, 10 bits; his white is reference white (HLG 75 %, PQ 203 cd/m2)."""
    numbers = {"hlg": 18, "pq": 16, "sdr": 14, "p3": 1}
    names = {"hlg": "arib-std-b67", "pq": "smpte2084", "sdr": "bt2020-10", "p3": "bt709"}
    wide = primaries == "bt2020"
    with av.open(str(path), "w") as out:
        s: Any = out.add_stream("libx265", rate=30)
        s.width, s.height, s.pix_fmt = 640, 360, "yuv420p10le"
        matrix = "bt2020nc" if wide else "bt709"
        params = f"log-level=none:colorprim={'bt2020' if wide else 'smpte432'}:transfer={names[transfer]}:colormatrix={matrix}:range=limited"
        s.options = {"crf": "12", "preset": "ultrafast", "x265-params": params}
        c = s.codec_context
        c.color_range, c.colorspace, c.color_primaries, c.color_trc = 1, 9 if wide else 1, 9 if wide else 12, numbers[transfer]
        v = MAN0.astype(np.float64) / 255
        linear = np.where(v < 0.081, v / 4.5, ((v + 0.099) / 1.099) ** (1 / 0.45)) @ (TO2020 if wide else TO_P3).T
        linear = linear.clip(0, 1)
        if transfer == "hlg":
            e = 0.265 * linear
            signal = np.where(e <= 1 / 12, np.sqrt(3 * e), 0.17883277 * np.log(np.maximum(12 * e - 0.28466892, 1e-9)) + 0.55991073)
        elif transfer == "pq":
            y = (linear * 203 / 10000) ** 0.1593017578125
            signal = ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375
        else:
            signal = np.where(linear < 0.018, 4.5 * linear, 1.099 * linear**0.45 - 0.099)
        kr, kb = (0.2627, 0.0593) if wide else (0.2126, 0.0722)
        r, g, b = signal[..., 0], signal[..., 1], signal[..., 2]
        luma = kr * r + (1 - kr - kb) * g + kb * b
        half = [x.reshape(180, 2, 320, 2).mean((1, 3)) for x in ((b - luma) / (2 - 2 * kb), (r - luma) / (2 - 2 * kr))]
        frame = av.VideoFrame(640, 360, "yuv420p10le")
        for plane, data in zip(frame.planes, (64 + 876 * luma, *(512 + 896 * x for x in half)), strict=True):
            row = np.zeros((data.shape[0], plane.line_size // 2), "<u2")
            row[:, : data.shape[1]] = np.rint(data).clip(0, 1023)
            plane.update(row.tobytes())
        frame.pts = 0
        out.mux(s.encode(frame))
        out.mux(s.encode(None))
    return path


@pytest.mark.parametrize(("transfer", "primaries"), [("hlg", "bt2020"), ("pq", "bt2020"), ("sdr", "bt2020"), ("p3", "p3")])
def test_wide_and_high_dynamic_colours_look_like_the_original(tmp_path: Path, transfer: str, primaries: str) -> None:
    got = frames(wide_clip(tmp_path / "a.mkv", transfer, primaries))[0].astype(float)
    face = slice(130, 290), slice(230, 360)
    difference = np.abs(got[face].mean((0, 1)) - MAN0[face].astype(float).mean((0, 1)))
    assert difference.max() < 8
    assert np.abs(got - MAN0).mean() < 6


def test_moving_transparency_is_mixed_with_white(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[..., 0], rgba[:32, :, 3], rgba[32:, :, 3] = 200, 255, 51
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("png", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "rgba"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba")))
        out.mux(stream.encode(None))
    got = frames(path)[0]
    assert got[5, 5].tolist() == [200, 0, 0]
    assert got[60, 5].tolist() == [244, 204, 204]


def test_the_colour_profile_of_a_picture_is_applied(tmp_path: Path) -> None:
    from PIL import Image, ImageCms

    swapped = np.ascontiguousarray(resized(MAN0, 64, 36))
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    plain = Image.fromarray(swapped)
    plain.save(tmp_path / "srgb.png", icc_profile=ImageCms.ImageCmsProfile(srgb).tobytes())
    assert np.array_equal(read_image(tmp_path / "srgb.png").rgb.numpy(), swapped)
    as_lab = ImageCms.profileToProfile(plain, srgb, lab, outputMode="LAB")
    as_lab.save(tmp_path / "lab.tif", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    assert np.abs(read_image(tmp_path / "lab.tif").rgb.numpy().astype(int) - swapped).mean() < 4
