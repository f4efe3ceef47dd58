"""face-alignment landmarks with a locally made network file (the official one cannot be shipped)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mmfa_components.errors import PackageError, WeightsError
from mmfa_components.geometry.squares import crop_squares, to_crop
from mmfa_components.kinds import Context
from mmfa_components.records import FaceRegions, Frames
from mmfa_components.registry import Registry, load_registry
from plugins.checking import check_component
from plugins.face_alignment import FaceAlignmentOptions, landmarks, make_landmarks
from plugins.face_alignment.landmarks import FILE, FaceAlignmentLandmarks, network_squares


@pytest.fixture(scope="module")
def context() -> Context:
    return Registry().context()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A torch home with a random network under the official name, reduced in nothing."""
    from face_alignment.models import FAN

    torch.manual_seed(0)
    home = tmp_path_factory.mktemp("torch_home")
    path = home / "hub" / "checkpoints" / FILE
    path.parent.mkdir(parents=True)
    torch.save(FAN(4).state_dict(), path)
    return home


@pytest.fixture(scope="module")
def weights(home: Path) -> str:
    return str(home / "hub" / "checkpoints" / FILE)


@pytest.fixture(scope="module")
def detector(weights: str, context: Context) -> FaceAlignmentLandmarks:
    return make_landmarks(FaceAlignmentOptions(weights), context)


@pytest.fixture(scope="module")
def picture() -> Tensor:
    torch.manual_seed(2)
    small = torch.rand(1, 3, 12, 12)
    return torch.nn.functional.interpolate(small, (300, 360), mode="bicubic").clamp(0, 1)


def test_network_square_is_where_the_package_puts_it() -> None:
    x0, y0, x1, y1 = 100.0, 80.0, 200.0, 180.0  # a face box
    region = torch.tensor([[150.0, 130.0, 150.0, 0.0]])  # 1.5 times that box
    centre = (x1 - (x1 - x0) / 2, y1 - (y1 - y0) / 2 - (y1 - y0) * 0.12)
    side = 200 * (x1 - x0 + y1 - y0) / 195
    assert network_squares(region)[0].tolist() == pytest.approx([*centre, side, 0.0], abs=1e-4)
    turned = network_squares(torch.tensor([[150.0, 130.0, 150.0, math.pi / 2]]))[0]  # forehead to the right
    assert turned[:2].tolist() == pytest.approx([162.0, 130.0], abs=1e-4)


def test_points_agree_with_the_package(detector: FaceAlignmentLandmarks, home: Path, picture: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own class, given our crop as its crop, finds the same points (it rounds them down to whole pixels)."""
    monkeypatch.setenv("TORCH_HOME", str(home))
    from face_alignment import FaceAlignment, LandmarksType, api

    region = torch.tensor([[180.0, 150.0, 150.0, 0.0]])
    crop = crop_squares(picture, network_squares(region), 256)
    pixels = (crop[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    theirs = FaceAlignment(LandmarksType.TWO_D, device="cpu", face_detector="folder", compile=False)
    monkeypatch.setattr(api, "crop", lambda image, centre, scale: pixels)
    box = np.array([130.0, 100.0, 230.0, 200.0])
    (wanted,) = theirs.get_landmarks_from_image(np.zeros((300, 360, 3), np.uint8), detected_faces=[box])
    found = detector(Frames(picture), FaceRegions(region))
    apart = found.points[0, :, :2] - torch.from_numpy(wanted)
    inside = (apart > -0.1) & (apart < 1.1)
    assert inside.float().mean() > 0.97  # 8-bit rounding of the crop may move a maximum of a random network


def test_record_batch_and_turned_region(detector: FaceAlignmentLandmarks, picture: Tensor) -> None:
    two = picture.repeat(2, 1, 1, 1)
    regions = torch.tensor([[180.0, 150.0, 150.0, 0.0], [170.0, 160.0, 120.0, 0.5]])
    found = detector(Frames(two), FaceRegions(regions))
    assert found.points.shape == (2, 68, 3)
    assert (found.points[..., 2] == 0).all()
    assert ((found.presence >= 0) & (found.presence <= 1)).all()
    alone = detector(Frames(two[1:]), FaceRegions(regions[1:]))
    assert ((found.points[1:] - alone.points).abs().amax(-1) < 0.01).float().mean() > 0.97
    local = to_crop(found.points[..., :2], network_squares(regions), 256)
    assert (local > 0).all()
    assert (local < 256).all()
    assert len(detector(Frames(two[:0]), FaceRegions(regions[:0]))) == 0


def test_found_in_the_hub_folder(home: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(home))
    assert make_landmarks(FaceAlignmentOptions(flip=False), context).flip is False


def test_missing_or_wrong_file_names_the_fix_and_downloads_nothing(
    weights: str, tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_download(*_: object, **__: object) -> None:
        raise AssertionError("a download was started")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_download)
    monkeypatch.setattr("face_alignment.utils.download_url_to_file", no_download)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def fails(option: str) -> str:
        with pytest.raises(WeightsError, match=FILE) as caught:
            make_landmarks(FaceAlignmentOptions(option), context)
        return str(caught.value)

    assert str(tmp_path / "hub" / "checkpoints" / FILE) in fails("")
    assert "not there" in fails(str(tmp_path / "absent.pth"))
    short = tmp_path / "short.pth.tar"
    short.write_bytes(Path(weights).read_bytes()[:500_000])
    assert "truncated" in fails(str(short))
    other = tmp_path / "other.pth"
    torch.save({"conv1.weight": torch.zeros(3)}, other)
    assert "do not fit" in fails(str(other))


def test_plugin_and_package_are_two_modules() -> None:
    import face_alignment

    import plugins.face_alignment as plugin

    assert face_alignment.__file__ != plugin.__file__
    assert hasattr(face_alignment, "FaceAlignment")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    monkeypatch.setattr(landmarks, "find_spec", lambda name: None)
    with pytest.raises(PackageError, match=r"face-alignment is not installed") as caught:
        make_landmarks(FaceAlignmentOptions(), context)
    assert caught.value.fix == "pip install 'mmfa[face-alignment]'"
    registry = load_registry()
    finding = check_component(registry.spec("landmark_detector", "face_alignment"), registry, context)
    assert (finding.status, "mmfa[face-alignment]" in finding.details) == ("needs a package", True)
