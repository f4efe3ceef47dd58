"""Kinds 9, 14, 15 and 16: HEIC, huge pictures, small faces in large ones, animated pictures."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from disc_face import Disc, draw
from disc_media import disc_plan, write_portrait
from field_media import ASSETS, MAN, pictures, resized
from PIL import Image

from mmfa_components.errors import MediaError
from mmfa_components.registry import Registry
from pipelines.config.schema import Face
from pipelines.media import images, open_video, probe, read_image
from pipelines.runs.run import run_plan
from pipelines.stages.track import track_still
from pipelines.stages.worker import Worker

MAN0 = pictures(MAN, 1)[0]


# ---- HEIC -------------------------------------------------------------------------------------------
def heic(path: Path, orientation: int = 1) -> Path:
    """The man as a HEIC."""
    from pillow_heif import register_heif_opener

    register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(MAN0).save(path, format="HEIF", quality=90, exif=exif)
    return path


def test_a_heic_is_the_whole_picture(tmp_path: Path) -> None:
    path = heic(tmp_path / "phone.heic")
    info = probe(path)
    assert (info.kind, info.width, info.height) == ("image", 640, 360)
    assert np.abs(read_image(path).rgb.numpy().astype(int) - MAN0).mean() < 4
    named = path.rename(tmp_path / "phone.jpg")
    assert probe(named).kind == "image", "the content decides"


def test_a_heic_without_its_package_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = heic(tmp_path / "phone.heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for look in (probe, read_image):
        with pytest.raises(MediaError, match="is a HEIC picture, which needs the package pillow-heif") as caught:
            look(path)
        assert "mmfa[heic]" in caught.value.fix
        assert "JPEG" in caught.value.fix


def test_a_damaged_heic_is_not_read_as_a_video(tmp_path: Path) -> None:
    data = heic(tmp_path / "phone.heic").read_bytes()
    (tmp_path / "cut.heic").write_bytes(data[:200])
    with pytest.raises(MediaError, match="HEIC"):
        probe(tmp_path / "cut.heic")


# ---- huge pictures ----------------------------------------------------------------------------------
def test_a_huge_picture_is_made_smaller_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "ENOUGH_PIXELS", 640 * 360 // 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow's own limit raises and warns above this
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(MAN0).save(tmp_path / "a.jpg", quality=95, exif=exif)
    Image.fromarray(MAN0).quantize(64).save(tmp_path / "a.png")
    Image.fromarray(MAN0).convert("L").save(tmp_path / "grey.png")
    small = resized(MAN0, 320, 180)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, wanted in (("a.jpg", np.rot90(small, 3)), ("a.png", small), ("grey.png", small.mean(-1, keepdims=True))):
            info, made = probe(tmp_path / name), read_image(tmp_path / name)
            assert made.reduced == 2
            assert tuple(made.rgb.shape[:2]) == (info.height, info.width) == wanted.shape[:2]
            assert np.abs(made.rgb.numpy().astype(int) - wanted).mean() < 12
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_a_picture_too_large_to_read_says_how_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (3000, 2000)).save(tmp_path / "a.png")
    monkeypatch.setattr(images, "MOST_PIXELS", 5_000_000)
    with pytest.raises(MediaError, match="has 3000 x 2000 pixels, more than the 5 million that are read") as caught:
        probe(tmp_path / "a.png")
    assert "smaller" in caught.value.fix


def test_a_picture_made_smaller_is_reported(tmp_path: Path, registry: Registry, screen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from disc_media import swinging, write_clip

    monkeypatch.setattr(images, "ENOUGH_PIXELS", 320 * 240 // 2)
    portrait = write_portrait(tmp_path / "p.png", Disc(160, 120, 48), 320, 240)
    report = run_plan(disc_plan(tmp_path, [portrait], [write_clip(tmp_path / "a.mp4", swinging(4))]), registry, screen.console)
    assert report.exit_code == 0
    assert report.jobs[0].warnings == ["p.png: is read at 1/2 of its size, 160 x 120 pixels"]
    assert screen.text.count("is read at 1/2 of its size") == 1


def test_a_face_of_100_pixels_is_found_in_a_large_picture(finder: Worker) -> None:
    hiker = Image.open(ASSETS / "portraits" / "hiker.jpg").convert("RGB")
    scene = Image.new("RGB", (3840, 2160), (110, 120, 115))
    scene.paste(hiker.resize((round(hiker.width * 0.45), round(hiker.height * 0.45))), (2600, 1300))
    with torch.inference_mode():
        track = track_still(finder, torch.from_numpy(np.asarray(scene).copy()), Face(), Path("scene.png"))
    low, high = track.points[0, :, :2].amin(0), track.points[0, :, :2].amax(0)
    assert 85 < float(high[1] - low[1]) < 115
    assert 2600 < float(low[0]) < float(high[0]) < 2860


# ---- animated pictures ------------------------------------------------------------------------------
DISCS = [Image.fromarray(draw([Disc(70 + 2 * k, 60, 22, tint=0.5)], 160, 120).numpy()) for k in range(6)]


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".png", ".avif"])
def test_an_animated_picture_is_a_video_with_its_times(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sticker{suffix}"
    DISCS[0].save(path, save_all=True, append_images=DISCS[1:], duration=[100, 100, 200, 100, 100, 40], quality=90)
    info = probe(path)
    assert (info.kind, info.width, info.height, info.frames) == ("video", 160, 120, 6)
    with open_video(path) as reader:
        made = list(reader.frames())
        again = list(reader.frames(4))
    assert [round(1000 * float(f.pts * info.time_base)) for f in made] == [0, 100, 200, 400, 500, 600]
    for frame, wanted in zip(made, DISCS, strict=True):
        assert np.abs(frame.rgb().numpy().astype(int) - np.asarray(wanted)).mean() < 6
    assert torch.equal(again[0].rgb(), made[4].rgb())


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".png"])
def test_its_transparency_is_over_white(tmp_path: Path, suffix: str) -> None:
    clear = [image.convert("RGBA") for image in DISCS[:3]]
    for image in clear:
        image.paste((0, 0, 0, 0), (0, 0, 160, 20))
    path = tmp_path / f"sticker{suffix}"
    clear[0].save(path, save_all=True, append_images=clear[1:], duration=100, disposal=2)
    with open_video(path) as reader:
        for frame in reader.frames():
            assert int(frame.rgb()[5, 80].min()) > 250
            assert int(frame.rgb()[60, 80, 0]) > 100


def test_an_animated_picture_drives(tmp_path: Path, registry: Registry, screen: Any) -> None:
    path = tmp_path / "sticker.webp"
    DISCS[0].save(path, save_all=True, append_images=DISCS[1:], duration=100, quality=90)
    plan = disc_plan(tmp_path, [write_portrait(tmp_path / "p.png")], [path])
    report = run_plan(plan, registry, screen.console)
    assert report.exit_code == 0, screen.text
    assert report.jobs[0].frames == 6
    assert probe(plan.jobs[0].output).duration == pytest.approx(0.6)
