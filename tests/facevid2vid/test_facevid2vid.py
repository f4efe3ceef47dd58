"""face-vid2vid on the open seam: pose by classification, the animator, edits of the head, training."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from tiny_training import SIDE, Pixels, write_dataset

from mmfa_components.errors import WeightsError
from mmfa_components.geometry.edit import Channel, MotionEdit, edit_motion
from mmfa_components.geometry.rotations import euler_to_matrix, geodesic_degrees
from mmfa_components.networks.generators.volume import VolumeGenerator
from mmfa_components.networks.motion.head_pose import BINS, HeadPoseEstimator, expected_degrees, rotation_of
from mmfa_components.records import HEAD, Frames, Landmarks, Motion
from mmfa_components.registry import Registry, load_registry
from mmfa_components.testing import check_animator, sample_crops, sample_landmarks
from pipelines.kinds.train import KIND as TRAIN
from plugins.facevid2vid import model, presets, recipe
from plugins.facevid2vid.animator import FaceVid2VidOptions
from plugins.facevid2vid.model import posed

TINY = presets.Sizes(
    "tiny",
    image=SIDE,
    keypoints=4,
    channels=4,
    depth=2,
    appearance_channels=(4, 6, 8),
    appearance_blocks=1,
    keypoint_side=32,
    keypoint_channels=(4, 6, 8),
    keypoint_volume=4,
    keypoint_depth=2,
    keypoint_ups=(4,),
    pose_side=32,
    pose_channels=(4, 8, 8),
    pose_blocks=1,
    motion_stem=6,
    motion_channels=(6, 8),
    mask_kernel=3,
    generator_channels=(8, 6, 4),
    generator_blocks=1,
    discriminator_channels=(4, 8, 8, 8),
)


@pytest.fixture
def tiny() -> Iterator[None]:
    """The preset "tiny", for one test."""
    presets.PRESETS["tiny"] = presets.preset_of(TINY)
    yield
    del presets.PRESETS["tiny"]


@pytest.fixture
def registry(tiny: None, tmp_path: Path) -> Registry:
    """A registry with weights of the preset "tiny" whose numbers are random but fixed."""
    torch.manual_seed(3)
    network = model.FaceVid2VidModel(TINY)
    with torch.no_grad():
        for layer in (network.pose_estimator.translation, network.pose_estimator.deformation, network.pose_estimator.angles):
            layer.weight.normal_(std=0.3)
    own = presets.PRESETS["tiny"].weights["animator"]
    path = tmp_path / "facevid2vid_tiny.safetensors"
    save_file(network.state_dict(), path, {"architecture": own.architecture})
    registry = load_registry()
    registry.weights[own.name] = attrs.evolve(own, path=path)
    return registry


def test_an_angle_is_the_expectation_over_its_bins() -> None:
    logits = torch.full((2, BINS), -50.0)
    logits[0, 33], logits[1, 40] = 50.0, 50.0
    logits[1, 41] = 50.0
    torch.testing.assert_close(expected_degrees(logits), torch.tensor([0.0, 22.5]))
    rotation = rotation_of(torch.tensor([[20.0, -10.0, 5.0]]))
    wanted = euler_to_matrix(*torch.deg2rad(torch.tensor([20.0, -10.0, 5.0])))
    torch.testing.assert_close(rotation[0], wanted)


def test_untrained_heads_do_not_move_and_gradients_arrive() -> None:
    network = HeadPoseEstimator(3, (4, 8, 8), 1, 32)
    degrees, translation, deformation = network(torch.rand(2, 3, 64, 64))
    assert (degrees.shape, translation.shape, deformation.shape) == ((2, 3), (2, 3), (2, 3, 3))
    assert float(translation.detach().abs().max()) < 0.1
    (degrees.sum() + deformation.square().sum()).backward()
    gradient = network.stem.conv.weight.grad
    assert gradient is not None
    assert float(gradient.abs().sum()) > 0


def test_the_deformation_comes_after_the_rotation() -> None:
    """Eq. 1 of the paper: x = R x_c + t + delta."""
    g = torch.Generator().manual_seed(0)
    canonical, delta = torch.randn(1, 4, 3, generator=g), torch.randn(1, 4, 3, generator=g)
    rotation, shift = rotation_of(torch.tensor([[30.0, 5.0, 0.0]])), torch.tensor([[0.1, 0.2, 0.0]])
    points, frame = posed(canonical, rotation, torch.ones(1), shift, delta)
    torch.testing.assert_close(points, canonical @ rotation.transpose(1, 2) + shift[:, None] + delta)
    torch.testing.assert_close(frame, rotation)


def test_the_generator_gives_pictures_of_four_times_the_volumes_side() -> None:
    network = VolumeGenerator(4, 2, (8, 6, 4), 1)
    flow = torch.zeros(2, 2, 16, 16, 3, requires_grad=True)
    out = network(torch.rand(2, 4, 2, 16, 16), flow, torch.ones(2, 1, 16, 16))
    assert out.shape == (2, 3, 64, 64)
    out.sum().backward()
    assert flow.grad is not None


def test_it_conforms(registry: Registry) -> None:
    check_animator(registry.spec("animator", "facevid2vid"), registry.context(), options=FaceVid2VidOptions("tiny"))


def test_its_head_is_edited_as_any_head(registry: Registry) -> None:
    """Its motion is HEAD: yaw and scale change what is rendered, and only the pose of the keypoints."""
    assert registry.spec("animator", "facevid2vid").motion is HEAD
    animator = registry.build("animator", "facevid2vid", {"preset": "tiny"}, registry.context())
    crops: Frames = sample_crops(2, SIDE)
    landmarks: Landmarks = sample_landmarks(crops)
    own: Motion = animator.decompose(crops, landmarks)[:1]
    assert own.expression.shape == (1, 12)
    assert float(own.scale) == 1.0
    edit = MotionEdit(yaw=Channel("whole", offset=15.0), scale=Channel("source", offset=0.2))
    turned = edit_motion(own, edit, {}, torch.zeros(1))
    assert float(geodesic_degrees(own.rotation, turned.rotation)) > 5
    identity = animator.encode(crops, landmarks)[:1]
    plain, moved = (animator.render(identity, own, m).rgb for m in (own, turned))
    assert float((plain - moved).abs().mean()) > 1e-6  # an untrained generator shows little


def test_missing_weights_say_how_to_get_them() -> None:
    with pytest.raises(WeightsError, match="facevid2vid_base"):
        load_registry().build("animator", "facevid2vid", None, load_registry().context())


def test_it_learns_the_pose_of_the_frozen_estimator(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe.FaceVid2VidRecipe, "needs", ())
    monkeypatch.setattr(recipe.FaceVid2VidRecipe, "judges", lambda self, context, last: Pixels())
    write_dataset(tmp_path / "data")
    file = tmp_path / "train.toml"
    file.write_text(
        """
        kind = "train"
        model.system = "facevid2vid"
        model.preset = "tiny"
        schedule.adversarial_from = 20
        losses.levels = 1
        optimiser.rate = 3e-3
        data.folder = "{here}/data"
        run = {folder = "{here}/run", device = "cpu", steps = 24, batch = 8, save = 0, log = 1, picture = 0, tensorboard = false}
        """,
        encoding="utf-8",
    )
    report = TRAIN.run(TRAIN.load(file, (), registry), registry, Console(file=io.StringIO()))
    assert report.exit_code == 0
    rows = [line.split(",") for line in (tmp_path / "run" / "losses.csv").read_text().splitlines()]
    table = {name: [float(r[i] or "nan") for r in rows[1:]] for i, name in enumerate(rows[0])}
    for name in ("head_pose", "perceptual"):
        assert sum(table[name][-4:]) < sum(table[name][:4]), name
    assert set(load_file(tmp_path / "run" / "facevid2vid_tiny.safetensors")) == set(model.FaceVid2VidModel(TINY).state_dict())
