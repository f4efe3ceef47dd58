"""AKD, AED, APD, the 68 points and head pose: by hand with made-up faces, and on real pictures that were warped by known amounts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmfa_components import records as r
from mmfa_components.errors import RecordError
from mmfa_components.geometry.rotations import euler_to_matrix, geodesic_degrees, rotate_in_plane
from mmfa_components.geometry.squares import crop_squares
from mmfa_components.perception.contour import BROWS, CONTOUR_OF_MESH, EYES, JAW, LIPS, NOSE, contour_points
from mmfa_components.perception.faces import FaceReader
from mmfa_components.perception.pose import MeshPose
from mmfa_components.registry import Registry, load_registry
from pipelines.media import read_image
from plugins.face_metrics.akd import AverageKeypointDistance
from plugins.face_metrics.apd import AveragePoseDistance
from plugins.face_metrics.identity import AverageEuclideanDistance

ASSETS = Path(__file__).parents[2] / "pipelines" / "demo"


class MarkedFaces:
    """A made-up detector and landmark network: a picture's first pixel says where its face is, 0 that there is none."""

    def detect(self, frames: r.Frames) -> r.FaceDetections:
        seen = [i for i, image in enumerate(frames.rgb) if float(image[0, 0, 0]) > 0]
        seen = [i for i in seen for _ in range(2)]  # the second detection of an image never counts
        count = len(seen)
        return r.FaceDetections(torch.tensor(seen, dtype=torch.int64), torch.zeros(count, 4), torch.ones(count), torch.rand(count, 6, 2))

    def landmarks(self, frames: r.Frames, regions: r.FaceRegions) -> r.MeshLandmarks:
        shift = frames.rgb[:, 0, 0, 0] * 100
        points = torch.arange(478.0)[None, :, None].expand(len(frames), 478, 3) * 0.1
        offset = torch.stack([shift, torch.zeros_like(shift), torch.full_like(shift, 9.0)], 1)
        return r.MeshLandmarks(points + offset[:, None], (frames.rgb[:, 0, 0, 0] < 0.9).float())


def reader() -> FaceReader:
    marked = MarkedFaces()
    return FaceReader(marked.detect, marked.landmarks)


def marked(*values: float, side: int = 32) -> r.Frames:
    rgb = torch.full((len(values), 3, side, side), 0.5)
    rgb[:, 0, 0, 0] = torch.tensor(values)
    return r.Frames(rgb)


def test_the_reader_tells_which_images_show_a_face() -> None:
    points, found = reader()(marked(0.1, 0.0, 0.95, 0.2))
    assert found.tolist() == [True, False, False, True]  # none detected; detected but not confirmed
    assert bool(points[1:3].isnan().all())
    torch.testing.assert_close(points[3, 0], torch.tensor([20.0, 0.0, 9.0]))
    points, found = reader()(marked(0.0, 0.0))
    assert points.shape == (2, 0, 3)
    assert not bool(found.any())


def test_akd_by_hand_and_without_a_face() -> None:
    metric = AverageKeypointDistance(reader(), "facemesh")
    figures = metric(marked(0.10, 0.10, 0.0, 0.3), marked(0.16, 0.10, 0.1, 0.0))
    torch.testing.assert_close(figures[:2], torch.tensor([6.0 / 2 * 256 / 32, 0.0]))  # 6 of 32 pixels in x, 0 in y
    assert figures[2:].isnan().all()
    with pytest.raises(RecordError, match="of one shape"):
        metric(marked(0.1), marked(0.1, side=64))


def test_aed_is_the_squared_distance_without_a_root() -> None:
    def embeddings(frames: r.Frames) -> tuple[Tensor, Tensor]:
        angle = frames.rgb[:, 0, 0, 0] * math.pi
        return torch.stack([angle.cos(), angle.sin()], 1), frames.rgb[:, 0, 0, 0] > 0

    metric = AverageEuclideanDistance(embeddings, "sface")
    figures = metric(marked(0.5, 0.25, 0.3, 0.0), marked(1.0, 0.25, 0.0, 0.3))
    torch.testing.assert_close(figures[:2], torch.tensor([2.0, 0.0]))  # a right angle: 2 - 2 cos 90
    assert figures[2:].isnan().all()
    assert "stands in" in metric.facts.backbone


def test_apd_is_the_mean_over_six_numbers() -> None:
    metric = AveragePoseDistance(lambda frames: frames.rgb[:, 0, 0, :6], "facemesh")
    one, other = torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8)
    one[0, 0, 0, 0], one[1, 0, 0, 5], other[1, 0, 0, 0] = 0.6, torch.nan, 0.1
    figures = metric(r.Frames(one), r.Frames(other))
    assert float(figures[0]) == pytest.approx(0.1)
    assert math.isnan(float(figures[1]))


def test_68_points_in_the_order_of_the_annotation() -> None:
    assert len(CONTOUR_OF_MESH) == len(set(CONTOUR_OF_MESH)) == 68
    assert [len(part) for part in (JAW, BROWS, NOSE, EYES, LIPS)] == [17, 10, 9, 12, 20]
    points = torch.rand(2, 478, 3)
    torch.testing.assert_close(contour_points(points)[:, 30], points[:, 4])
    assert contour_points(torch.zeros(1, 68, 3)).shape == (1, 68, 3)
    with pytest.raises(RecordError, match="68 contour or 478 mesh"):
        contour_points(torch.zeros(1, 5, 3))


# ---- on real pictures ------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def shipped() -> Registry:
    return load_registry()


@pytest.fixture(scope="module")
def pose(shipped: Registry) -> MeshPose:
    context = shipped.context("cpu")
    read = FaceReader(context.build("face_detector", "facemesh", None), context.build("landmark_detector", "facemesh", None))
    return MeshPose(read, context.build("rotation_estimator", "facemesh", None))


@pytest.fixture(scope="module")
def portrait(pose: MeshPose) -> Tensor:
    """A whole portrait (1, 3, H, W)."""
    return read_image(ASSETS / "portraits" / "hiker.jpg").rgb.permute(2, 0, 1)[None].float() / 255


def warped(portrait: Tensor, pose: MeshPose, *changes: tuple[float, float, float, float]) -> Tensor:
    """Crops of 256 in which the head is turned in the plane, enlarged and moved by (roll, scale, x, y) about its own origin."""
    points, found = pose.read(r.Frames(portrait))
    assert bool(found.all())
    side = float(points[0, :, 1].max() - points[0, :, 1].min()) / 0.5
    _, _, origin = pose.fit.solve(r.MeshLandmarks(points, torch.ones(1)))
    squares = []
    for roll, scale, x, y in changes:
        shift = torch.tensor([[math.cos(-roll), -math.sin(-roll)], [math.sin(-roll), math.cos(-roll)]]) @ torch.tensor([float(x), float(y)])
        centre = origin[0, :2] - shift * side / 2 / scale
        squares.append([float(centre[0]), float(centre[1]), side / scale, -roll])
    cut = torch.tensor(squares)
    return torch.cat([crop_squares(portrait, square[None], 256) for square in cut])


def test_pose_of_warped_pictures(portrait: Tensor, pose: MeshPose) -> None:
    roll = math.radians(20)
    with torch.inference_mode():
        found = pose(r.Frames(warped(portrait, pose, (0, 1, 0, 0), (roll, 1, 0, 0), (0, 1.2, 0, 0), (0, 1, 0.2, -0.1), (-roll, 0.8, 0, 0.1))))
    own = euler_to_matrix(*found[:1, :3].T)
    turned = rotate_in_plane(own, torch.tensor([roll, 0.0, 0.0, -roll]))  # of the picture: not about the head's own axis
    assert float(geodesic_degrees(turned, euler_to_matrix(*found[1:, :3].T)).max()) < 1.5
    wanted = torch.tensor([[0, 0, 0], [0, 0, math.log(1.2)], [0.2, -0.1, 0], [0, 0.1, math.log(0.8)]])
    torch.testing.assert_close(found[1:, 3:] - found[0, 3:], wanted, atol=0.01, rtol=0)


def test_pose_of_known_points(pose: MeshPose) -> None:
    """The canonical face itself, put somewhere exactly."""
    canonical = torch.zeros(478, 3)
    canonical[pose.fit.used] = pose.fit.canonical
    yaw, pitch, roll = torch.tensor([0.3]), torch.tensor([-0.2]), torch.tensor([0.1])
    points = 12.0 * canonical @ euler_to_matrix(yaw, pitch, roll)[0].T + torch.tensor([150.0, 120.0, 0.0])
    image = (points * torch.tensor([1.0, 1.0, -1.0]))[None]
    measured = pose.of_points(torch.cat([image, image * torch.nan]), torch.tensor([True, False]), 256)
    torch.testing.assert_close(measured[0], torch.tensor([0.3, -0.2, 0.1, 22 / 128, -8 / 128, math.log(12 / 256)]), atol=1e-4, rtol=0)
    assert measured[1].isnan().all()
    torch.testing.assert_close(pose.frontal(image)[0, pose.fit.used], pose.fit.canonical, atol=1e-3, rtol=0)


def test_akd_and_apd_as_components(shipped: Registry, portrait: Tensor, pose: MeshPose) -> None:
    context = shipped.context("cpu")
    still, moved = warped(portrait, pose, (0, 1, 0, 0), (0, 1, 0.1, 0)).split(1)
    batch, blank = torch.cat([still, moved]), torch.zeros(1, 3, 256, 256)
    akd, apd = (context.build("metric", name, None) for name in ("akd", "apd"))
    with torch.inference_mode():
        figures = akd(r.Frames(batch), r.Frames(torch.cat([still, still])))
        poses = apd(r.Frames(torch.cat([batch, blank])), r.Frames(torch.cat([still, still, still])))
    assert figures.tolist() == pytest.approx([0.0, 12.8 / 2], abs=0.4)  # 0.1 half sides are 12.8 pixels, in x alone
    assert poses[:2].tolist() == pytest.approx([0.0, 0.1 / 6], abs=0.004)
    assert math.isnan(float(poses[2]))
