"""Results of the shipped weights with the portrait's own pixels: as large as wanted, moved alike, sharper, still where they have to be."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components import records as r
from mmfa_components.geometry.holding import still_map
from mmfa_components.geometry.rotations import euler_to_matrix
from mmfa_components.geometry.squares import crop_squares, region_of_detection, to_crop
from mmfa_components.registry import Registry, load_registry
from pipelines.media import read_image

HIKER = Path(__file__).parents[2] / "pipelines" / "demo" / "portraits" / "hiker.jpg"


@attrs.frozen(eq=False)
class Seen:
    """The hiker as the animator sees him through a square. large: the same crop at 400 pixels, what the picture has."""

    crops: r.Frames
    landmarks: r.Landmarks
    large: Tensor


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="module")
def animator(registry: Registry):
    return registry.build("animator", "mmfa", None, registry.context())


def seen(registry: Registry, shift: float = 0.0) -> Seen:
    """Through a square that lies ``shift`` of its side farther to the right."""
    context = registry.context()
    rgb = read_image(HIKER).rgb.permute(2, 0, 1)[None].float() / 255
    faces = registry.build("face_detector", "facemesh", None, context)(r.Frames(rgb))
    found = registry.build("landmark_detector", "facemesh", None, context)(r.Frames(rgb), r.FaceRegions(region_of_detection(faces.points[:1])))
    low, high = found.points[0, :, :2].amin(0), found.points[0, :, :2].amax(0)
    side, centre = float(high[1] - low[1]) / 0.58, (low + high) / 2
    square = torch.tensor([[float(centre[0]) + shift * side, float(centre[1]) - 0.034 * side, side, 0.0]])
    landmarks = r.Landmarks(to_crop(found.points, square, 256), found.presence)
    return Seen(r.Frames(crop_squares(rgb, square, 256).clamp(0, 1)), landmarks, crop_squares(rgb, square, 400).clamp(0, 1))


@pytest.fixture(scope="module")
def hiker(registry: Registry) -> Seen:
    return seen(registry)


def turned(own: r.Motion, yaw: float = 0.0, roll: float = 0.0) -> r.Motion:
    turn = euler_to_matrix(torch.tensor([yaw]), torch.zeros(1), torch.tensor([roll]))
    return attrs.evolve(own, rotation=turn @ own.rotation)


def free(picture: Tensor) -> r.View:
    """A view of which everything moves."""
    return r.View(picture, picture.new_zeros(1, 0, 1, 1))


def detail(image: Tensor) -> Tensor:
    """The finest band of images."""
    return image - functional.avg_pool2d(image, 3, 1, 1)


@torch.inference_mode()
def test_a_larger_result_moves_as_the_usual_one(animator, hiker: Seen) -> None:
    own, identity = animator.decompose(hiker.crops, hiker.landmarks), animator.encode(hiker.crops, hiker.landmarks)
    asked = turned(own, yaw=0.3)
    usual = animator.render(identity, own, asked).rgb
    for side in (256, 400, 512):
        picture = functional.interpolate(hiker.large, size=(side, side), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        shown = animator.render_view(identity, own, asked, free(picture))
        assert tuple(shown.rgb.shape) == (1, 3, side, side)
        assert (float(shown.rgb.min()) >= 0, float(shown.rgb.max()) <= 1) == (True, True)
        assert shown.still.max() == 0
        small = functional.interpolate(shown.rgb, size=(256, 256), mode="area") if side != 256 else shown.rgb
        error = (small - usual).square().mean()
        assert -10 * float(error.log10()) > 32  # dB
        unmoved = (hiker.crops.rgb - usual).square().mean()
        assert unmoved > 20 * error  # it does move


@torch.inference_mode()
def test_it_is_sharper_and_its_detail_is_the_real_one(animator, hiker: Seen, registry: Registry) -> None:
    """The same person in another place: what comes out against the real picture there, at 400 pixels."""
    there = seen(registry, shift=-0.05)
    own, driving = (animator.decompose(s.crops, s.landmarks) for s in (hiker, there))
    identity = animator.encode(hiker.crops, hiker.landmarks)
    asked = attrs.evolve(own, translation=driving.translation)
    enlarged = functional.interpolate(animator.render(identity, own, asked).rgb, size=(400, 400), mode="bicubic").clamp(0, 1)
    shown = animator.render_view(identity, own, asked, free(hiker.large)).rgb
    middle = (slice(None), slice(None), slice(80, 320), slice(100, 300))  # the face
    energy = [float(detail(i)[middle].square().mean()) for i in (enlarged, shown, there.large)]
    assert energy[0] * 1.5 < energy[1] < energy[2] * 1.2
    truth = detail(there.large)[middle].flatten()
    alike = [float(torch.corrcoef(torch.stack([detail(i)[middle].flatten(), truth]))[0, 1]) for i in (enlarged, shown)]
    assert alike[1] > alike[0]


@torch.inference_mode()
@pytest.mark.parametrize(("yaw", "roll"), [(0.0, 0.26), (0.0, -0.26), (0.5, 0.0), (-0.5, 0.0)])
def test_shoulders_and_border_are_the_portrait_itself(animator, hiker: Seen, yaw: float, roll: float) -> None:
    own, identity = animator.decompose(hiker.crops, hiker.landmarks), animator.encode(hiker.crops, hiker.landmarks)
    view = r.View(hiker.large, still_map(hiker.landmarks.points / 128 - 1))
    shown, loose = (animator.render_view(identity, own, turned(own, yaw, roll), v) for v in (view, free(hiker.large)))
    apart, before = ((s.rgb - hiker.large).abs().mean((0, 1)) * 255 for s in (shown, loose))
    band = torch.ones(400, 400, dtype=torch.bool)
    band[12:-12, 12:-12] = False
    corners = torch.zeros(400, 400, dtype=torch.bool)
    corners[340:, :120] = corners[340:, 280:] = True
    for place in (band, corners):
        assert float(apart[place].mean()) < 2 < float(before[place].mean())
    face = (slice(None), slice(None), slice(100, 250), slice(130, 270))
    assert float((shown.rgb - loose.rgb)[face].abs().mean()) * 255 < 1  # the face moves as it did
    assert float((shown.rgb - hiker.large)[face].abs().mean()) * 255 > 5


@torch.inference_mode()
def test_each_frame_is_what_it_is_alone(animator, hiker: Seen) -> None:
    own, identity = animator.decompose(hiker.crops, hiker.landmarks), animator.encode(hiker.crops, hiker.landmarks)
    both = r.Motion.concatenate([turned(own, 0.2), turned(own, -0.2, 0.1)])
    view = r.View(hiker.large.half(), still_map(hiker.landmarks.points / 128 - 1))
    whole = animator.render_view(identity, own, both, view)
    for i in range(2):
        alone = animator.render_view(identity, own, both[i : i + 1], view)
        torch.testing.assert_close(whole.rgb[i : i + 1], alone.rgb, atol=3e-4, rtol=0)
