"""Still images: every common kind in, atomic out, errors that name file and cause."""

from pathlib import Path

import numpy as np
import pytest
import torch
from media_samples import clip
from PIL import Image

from mmfa_components.errors import MediaError, OutputError
from pipelines.media import content_digest, read_image, read_metadata, write_image


def test_rgb_round_trip_with_alpha_and_notes(tmp_path: Path) -> None:
    rgb, alpha = torch.randint(0, 256, (5, 7, 3), dtype=torch.uint8), torch.randint(0, 256, (5, 7), dtype=torch.uint8)
    write_image(tmp_path / "deep" / "a.png", rgb, alpha, {"key": "wert ü"})
    back = read_image(tmp_path / "deep" / "a.png")
    assert torch.equal(back.rgb, rgb)
    assert back.alpha is not None
    assert torch.equal(back.alpha, alpha)
    assert read_metadata(tmp_path / "deep" / "a.png") == {"key": "wert ü"}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.png"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = Image.fromarray(np.kron(np.array([[255, 0, 0], [0, 128, 0]], np.uint8), np.ones((16, 16), np.uint8))).convert("RGB")
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # PIL's transpose that stores the picture so
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[274] = orientation
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95)
    got = read_image(tmp_path / "a.jpg").rgb
    assert got.shape == (32, 48, 3)
    assert int(got[8, 8, 0]) > 240
    assert 110 < int(got[24, 24, 0]) < 146


@pytest.mark.parametrize(
    ("mode", "suffix", "colour", "expected"),
    [
        ("L", ".png", 200, (200, 200, 200)),
        ("1", ".png", 1, (255, 255, 255)),
        ("P", ".png", 0, (0, 0, 0)),
        ("I;16", ".png", 40000, (156, 156, 156)),
        ("CMYK", ".jpg", (0, 255, 255, 0), (254, 0, 0)),
        ("CMYK", ".tif", (255, 0, 0, 0), (0, 255, 255)),
        ("RGB", ".bmp", (1, 2, 3), (1, 2, 3)),
        ("RGB", ".webp", (100, 100, 100), (100, 100, 100)),
        ("F", ".tif", 0.5, (128, 128, 128)),
    ],
)
def test_kinds_of_image(tmp_path: Path, mode: str, suffix: str, colour: object, expected: tuple[int, int, int]) -> None:
    path = tmp_path / f"a{suffix}"
    if mode == "I;16":
        Image.fromarray(np.full((9, 7), colour, np.uint16)).save(path)
    else:
        Image.new(mode, (7, 9), colour).save(path)  # type: ignore[arg-type]
    got = read_image(path)
    assert got.rgb.shape == (9, 7, 3)
    assert got.rgb.dtype == torch.uint8
    assert (got.rgb[4, 3].int() - torch.tensor(expected)).abs().max() <= 4
    assert got.alpha is None


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_kept_apart(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (4, 4), (10, 20, 30, 77) if mode == "RGBA" else (10, 77)).save(tmp_path / "a.png")
    got = read_image(tmp_path / "a.png")
    assert got.alpha is not None
    assert int(got.alpha[0, 0]) == 77
    assert int(got.rgb[0, 0, 0]) == 10


def test_bad_images_name_file_and_cause(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"none\.png: no such file"):
        read_image(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(MediaError, match=r"text\.png: is no image"):
        read_image(tmp_path / "text.png")
    with pytest.raises(MediaError, match="is no image"):
        read_image(clip(tmp_path / "clip.mp4", 2))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:3000])
    with pytest.raises(MediaError, match=r"cut\.png: damaged"):
        read_image(tmp_path / "cut.png")


def test_unwritable_places_are_named_and_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file"):
        write_image(tmp_path / "file" / "a.png", torch.zeros(2, 2, 3, dtype=torch.uint8))
    with pytest.raises(OutputError, match="cannot be written as"):
        write_image(tmp_path / "a.unknown", torch.zeros(2, 2, 3, dtype=torch.uint8))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert content_digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(MediaError, match="cannot be read"):
        content_digest(tmp_path / "b")


def test_notes_of_pictures_come_back(tmp_path: Path) -> None:
    notes = {"synthetic": "yes", "model": "größer 1"}
    for name in ("a.png", "a.jpg", "a.jpeg"):
        write_image(tmp_path / name, torch.zeros(8, 8, 3, dtype=torch.uint8), metadata=notes)
        assert read_metadata(tmp_path / name) == notes, name
