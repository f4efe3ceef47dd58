"""The MMFA plugin with its shipped weights: parts, composition, and what the mathematics promises of the result."""

import os
from pathlib import Path

import pytest
import torch

from mmfa_components import records as r
from mmfa_components.errors import ConfigError, PluginError, RecordError, WeightsError
from mmfa_components.geometry.rotations import euler_to_matrix, geodesic_degrees
from mmfa_components.geometry.shape import shape_of
from mmfa_components.geometry.squares import crop_squares, region_of_detection, to_crop
from mmfa_components.registry import Registry, load_registry
from mmfa_components.testing import check_animator
from mmfa_components.weights import metadata
from pipelines.media import read_image

ASSETS = Path(__file__).parents[2] / "pipelines" / "demo"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="module")
def animator(registry: Registry):
    return registry.build("animator", "mmfa", None, registry.context())


@pytest.fixture(scope="module")
def portrait(registry: Registry) -> tuple[r.Frames, r.Landmarks]:
    """The hiker, cropped, with landmarks in crop pixels."""
    context = registry.context()
    rgb = read_image(ASSETS / "portraits" / "hiker.jpg").rgb.permute(2, 0, 1)[None].float() / 255
    faces = registry.build("face_detector", "facemesh", None, context)(r.Frames(rgb))
    regions = r.FaceRegions(region_of_detection(faces.points[:1]))
    found = registry.build("landmark_detector", "facemesh", None, context)(r.Frames(rgb), regions)
    low, high = found.points[0, :, :2].amin(0), found.points[0, :, :2].amax(0)
    side = float(high[1] - low[1]) / 0.58
    centre = (low + high) / 2
    square = torch.tensor([[float(centre[0]), float(centre[1]) - 0.03 * side, side, 0.0]])
    return r.Frames(crop_squares(rgb, square, 256)), r.Landmarks(to_crop(found.points, square, 256), found.presence)


def test_it_conforms(portrait, registry: Registry) -> None:
    """The hiker and his mirror image, as faces that differ."""
    crops, landmarks = portrait
    size = crops.rgb.shape[-1]
    flipped = landmarks.points * torch.tensor([-1.0, 1.0, 1.0]) + torch.tensor([float(size), 0.0, 0.0])
    both = r.Frames(torch.cat([crops.rgb, crops.rgb.flip(-1)]))
    points = r.Landmarks(torch.cat([landmarks.points, flipped]), landmarks.presence.expand(2).clone())
    check_animator(registry.spec("animator", "mmfa"), registry.context(), both, points, least_psnr=18.0)


@torch.inference_mode()
def test_unmoved_portrait_comes_back(animator, portrait) -> None:
    crops, landmarks = portrait
    motion = animator.decompose(crops, landmarks)
    out = animator.render(animator.encode(crops, landmarks), motion, motion).rgb
    assert out.shape == (1, 3, 256, 256)
    assert -10 * float((out - crops.rgb).square().mean().log10()) > 20  # dB


@torch.inference_mode()
def test_asking_for_another_yaw_turns_the_head(animator, portrait, registry: Registry) -> None:
    crops, landmarks = portrait
    own = animator.decompose(crops, landmarks)
    turn = euler_to_matrix(torch.tensor([-0.3, 0.0, 0.3]), torch.zeros(3), torch.zeros(3))
    asked = r.Motion(turn @ own.rotation, own.scale.expand(3), own.translation.expand(3, -1), own.expression.expand(3, -1))
    out = animator.render(animator.encode(crops, landmarks), own, asked)
    context = registry.context()
    found = registry.build("landmark_detector", "facemesh", None, context)(out, r.FaceRegions(torch.tensor([[128.0, 135, 230, 0]] * 3)))
    measured = registry.build("rotation_estimator", "facemesh", None, context)(found).matrix
    yaw = torch.asin(-measured[:, 0, 2])
    assert yaw[0] < yaw[1] < yaw[2]
    assert float(yaw[2] - yaw[0]) > 0.25  # of 0.6 asked
    assert float(geodesic_degrees(measured[1:2], own.rotation)) < 6


@torch.inference_mode()
def test_the_expression_is_the_encoders_less_what_the_pose_puts_in(animator, portrait) -> None:
    crops, landmarks = portrait
    codec = animator.parts["expression_codec"]
    mesh = r.MeshLandmarks(landmarks.points, landmarks.presence)
    own, raw = animator.decompose(crops, landmarks), codec.encoder(shape_of(codec.fit.frontal(mesh)))
    rotation = codec.fit(mesh).matrix
    torch.testing.assert_close(own.expression + codec.pose(rotation), raw, atol=1e-4, rtol=1e-4)
    rows = animator.parts["keypoint_detector"](crops)
    torch.testing.assert_close(codec.decode(r.Expression(own.expression), rows, r.Rotation(rotation)).delta, codec.decoder(raw, rows.points))
    turned = euler_to_matrix(torch.tensor([0.4]), torch.zeros(1), torch.zeros(1))
    assert float((codec.pose(turned) - codec.pose(rotation)).norm()) > 1


@torch.inference_mode()
def test_translation_moves_the_face(animator, portrait, registry: Registry) -> None:
    crops, landmarks = portrait
    own = animator.decompose(crops, landmarks)
    shift = torch.tensor([[-0.15, 0.0, 0], [0.15, 0, 0]])
    asked = r.Motion(own.rotation.expand(2, 3, 3), own.scale.expand(2), own.translation + shift, own.expression.expand(2, -1))
    out = animator.render(animator.encode(crops, landmarks), own, asked)
    regions = r.FaceRegions(torch.tensor([[128.0, 135, 230, 0]] * 2))
    points = registry.build("landmark_detector", "facemesh", None, registry.context())(out, regions).points
    moved = float((points[1] - points[0])[:, 0].mean()) / 128
    assert moved == pytest.approx(0.3, abs=0.1)


@torch.inference_mode()
def test_batch_equals_single_and_one_identity_serves_all(animator, portrait) -> None:
    crops, landmarks = portrait
    own = animator.decompose(crops, landmarks)
    two = r.Motion.concatenate([own, r.Motion(own.rotation, own.scale * 1.1, own.translation, own.expression)])
    identity = animator.encode(crops, landmarks)
    both = animator.render(identity, own, two).rgb
    torch.testing.assert_close(both[1:], animator.render(identity, own, two[1:]).rgb, atol=2e-4, rtol=0)


@torch.inference_mode()
def test_bfloat16_is_close_and_leaves_motion_alone(animator, portrait, registry: Registry) -> None:
    crops, landmarks = portrait
    half = registry.build("animator", "mmfa", None, registry.context(dtype=torch.bfloat16))
    own, other = animator.decompose(crops, landmarks), half.decompose(crops, landmarks)
    torch.testing.assert_close(own.expression, other.expression)
    torch.testing.assert_close(own.translation, other.translation)
    difference = animator.render(animator.encode(crops, landmarks), own, own).rgb - half.render(half.encode(crops, landmarks), own, own).rgb
    assert float(difference.abs().mean()) < 0.01


def test_parts_give_the_records_they_declare(registry: Registry) -> None:
    context, frames = registry.context(), r.Frames(torch.rand(2, 3, 256, 256))
    for kind in ("keypoint_detector", "affine_estimator", "appearance_extractor", "discriminator"):
        spec = registry.spec(kind, "mmfa")
        assert isinstance(registry.build(kind, "mmfa", None, context)(frames), spec.gives[0])


def test_the_vae_part_rebuilds_features_it_was_made_for(registry: Registry) -> None:
    vae = registry.build("expression_vae", "mmfa", None, registry.context())
    latent = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    feature = vae.decode(latent)
    again = vae.decode(vae.encode(feature).mean)
    spread = (feature.feature - feature.feature.mean(0)).square().mean()
    assert (again.feature - feature.feature).square().mean() < 0.3 * spread


def test_the_vae_is_that_of_the_shipped_encoder(registry: Registry) -> None:
    stated = metadata(registry.weights["mmfa_vae_base"].path)
    assert stated["features_of"] == registry.catalogue().digest("mmfa_base")


def test_a_part_without_shipped_weights_says_so(registry: Registry) -> None:
    with pytest.raises(WeightsError, match="mmfa_vae_paper"):
        registry.build("expression_vae", "mmfa", {"preset": "paper"}, registry.context())


def test_wrong_parts_are_named(registry: Registry) -> None:
    context = registry.context()
    with pytest.raises(ConfigError, match="no part 'rotation'"):
        registry.build("animator", "mmfa", {"parts": {"rotation": {}}}, context)
    with pytest.raises(PluginError, match="did you mean 'facemesh'"):
        registry.build("animator", "mmfa", {"rotation_estimator": "facemash"}, context)
    with pytest.raises(ConfigError, match="no preset is called"):
        registry.build("animator", "mmfa", {"preset": "bass"}, context)


def test_weights_of_another_architecture_or_truncated_are_refused(registry: Registry, tmp_path: Path) -> None:
    shipped = registry.weights["mmfa_base"].path
    wrong = {"mmfa_base": registry.weights["facemesh_geometry"].path}
    with pytest.raises(WeightsError, match="facemesh-geometry"):
        registry.build("animator", "mmfa", None, registry.context(overrides=wrong))
    short = tmp_path / "short.safetensors"
    short.write_bytes(shipped.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="truncated"):
        registry.build("animator", "mmfa", None, registry.context(overrides={"mmfa_base": short}))
    assert os.path.getsize(shipped) < 20e6


def test_landmarks_of_another_kind_are_refused_by_the_rotation(animator, portrait) -> None:
    crops, landmarks = portrait
    with pytest.raises(RecordError, match=r"MeshLandmarks.points.*expected shape \(N, 478, 3\)"):
        animator.decompose(crops, r.Landmarks(landmarks.points[:, :68], landmarks.presence))


@torch.inference_mode()
def test_regions_move_apart_and_alike_as_one(animator, portrait) -> None:
    """With one expression everywhere a regional motion gives the plain picture; a changed mouth changes the mouth more than the eyes."""
    crops, landmarks = portrait
    own = animator.decompose(crops, landmarks)
    identity = animator.encode(crops, landmarks)
    assert float(identity.eyes.max()) > 0.8
    assert float(identity.mouth.max()) > 0.8
    assert animator.knows_regions(r.MeshLandmarks)
    assert not animator.knows_regions(r.Landmarks)
    changed = own.expression + 10 * torch.randn(own.expression.shape, generator=torch.Generator().manual_seed(4))

    def render(rest, eyes, mouth) -> torch.Tensor:
        motion = r.RegionalMotion(own.rotation, own.scale, own.translation, rest, eyes, mouth)
        return animator.render(identity, own, motion).rgb

    plain = animator.render(identity, own, own).rgb
    torch.testing.assert_close(render(own.expression, own.expression, own.expression), plain)
    whole = animator.render(identity, own, r.Motion(own.rotation, own.scale, own.translation, changed)).rgb
    torch.testing.assert_close(render(changed, changed, changed), whole, atol=1e-4, rtol=1e-4)
    moved = {"eyes": render(own.expression, changed, own.expression), "mouth": render(own.expression, own.expression, changed)}
    places = {}
    for name, points in (("eyes", (33, 133, 362, 263)), ("mouth", (61, 291, 13, 14))):
        x, y = landmarks.points[0, list(points), :2].mean(0).round().int().tolist()
        places[name] = (slice(None), slice(None), slice(y - 14, y + 14), slice(x - 40, x + 40))
    change = {(a, b): float((moved[a] - plain)[places[b]].abs().mean()) for a in moved for b in places}
    assert change["eyes", "eyes"] > change["mouth", "eyes"]
    assert change["mouth", "mouth"] > change["eyes", "mouth"]


@torch.inference_mode()
def test_the_canonical_face_forgets_pose_and_expression(animator, portrait) -> None:
    crops, landmarks = portrait
    own = animator.decompose(crops, landmarks)
    identity = animator.encode(crops, landmarks)
    frontal = r.Motion(torch.eye(3)[None], own.scale, 0 * own.translation, own.expression)
    other = r.Motion(torch.eye(3)[None], own.scale, 0 * own.translation, own.expression + 100)
    first, second = (animator.render_neutral(identity, own, m).rgb for m in (frontal, other))
    assert torch.equal(first, second)  # the expression does not count
    assert float((first - animator.render(identity, own, own).rgb).abs().mean()) > 0.005
