"""Frozen networks are loaded as the losses need them, get no gradient of their own and pass one to the image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_training import pipeline, use_tiny_preset

from mmfa_components.errors import WeightsError
from mmfa_components.losses.perceptual import VGGFeatures, perceptual_loss
from mmfa_components.registry import load_registry
from pipelines.training.schema import TrainPipeline
from pipelines.training.systems import recipe_of
from plugins.mmfa.training.judges import FACE_SCALE, FaceFeatures, Judges
from plugins.mmfa.training.options import Losses
from plugins.packaged.sface import SFaceNetwork

CPU = torch.device("cpu")


def frozen_networks(made: TrainPipeline, device: torch.device) -> Judges:
    """The judges as a training run loads them."""
    use_tiny_preset()
    registry = load_registry()
    context = registry.context(device, torch.float32, {k: Path(v) for k, v in made.weights.items()})
    found = recipe_of(made, registry).judges(context, True)
    assert isinstance(found, Judges)
    return found


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Random weights where fetched ones would lie."""
    torch.manual_seed(0)
    monkeypatch.setenv("MMFA_WEIGHTS", str(tmp_path))
    save_file(VGGFeatures().state_dict(), tmp_path / "vgg16_features.safetensors", {"architecture": "vgg16-relu5_1"})
    save_file(SFaceNetwork().state_dict(), tmp_path / "sface.safetensors", {"architecture": "sface/1"})
    return tmp_path


def test_only_what_the_losses_need_is_loaded(weights: Path) -> None:
    made = frozen_networks(pipeline(weights), CPU)
    assert made.face is None
    assert made.recogniser is None
    assert made.landmarks is None
    assert frozen_networks(pipeline(weights, losses=Losses(face=1.0)), CPU).recogniser is None
    assert frozen_networks(pipeline(weights, losses=Losses(recognition=1.0)), CPU).face is None
    (weights / "sface.safetensors").unlink()
    for losses in (Losses(face=1.0), Losses(recognition=1.0)):
        with pytest.raises(WeightsError, match="mmfa plugins fetch sface"):
            frozen_networks(pipeline(weights, losses=losses), CPU)
    (weights / "vgg16_features.safetensors").unlink()
    with pytest.raises(WeightsError, match="mmfa plugins fetch vgg16_features"):
        frozen_networks(pipeline(weights), CPU)


def test_all_of_them_judge_with_a_gradient_for_the_image_alone(weights: Path) -> None:
    made = frozen_networks(pipeline(weights, losses=Losses(face=1.0, landmarks=1.0)), CPU)
    assert made.face is not None
    assert made.landmarks is not None
    assert not any(p.requires_grad for network in (made.perceptual, made.face) for p in network.parameters())
    target = torch.rand(1, 3, 64, 64)
    for network in (made.perceptual, made.face):
        image = torch.rand(1, 3, 64, 64, requires_grad=True)
        assert float(perceptual_loss(network, target, target)) == 0
        perceptual_loss(network, image, target).backward()
        assert image.grad is not None
        assert float(image.grad.abs().sum()) > 0
    region = torch.rand(1, 3, 256, 256, requires_grad=True)
    made.landmarks(region).sum().backward()
    assert region.grad is not None


def test_weights_named_in_the_file_are_taken(weights: Path, tmp_path: Path) -> None:
    import attrs

    other = tmp_path / "other.safetensors"
    save_file({k: v + 1 for k, v in VGGFeatures().state_dict().items()}, other, {"architecture": "vgg16-relu5_1"})
    made = frozen_networks(attrs.evolve(pipeline(weights), weights={"vgg16_features": str(other)}), CPU)
    plain = frozen_networks(pipeline(weights), CPU)
    assert not torch.equal(next(made.perceptual.parameters()), next(plain.perceptual.parameters()))


def test_faces_reach_the_face_network_at_the_size_it_knows() -> None:
    maps = FaceFeatures(SFaceNetwork())(torch.rand(1, 3, 256, 256))
    side = 256 * FACE_SCALE
    assert [tuple(m.shape[1:]) for m in maps] == [(c, side // f, side // f) for c, f in zip((64, 128, 256, 512, 1024), (1, 2, 4, 8, 16), strict=True)]
