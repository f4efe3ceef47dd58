"""HopeNet with a generated state dict in the official layout (the official weights cannot be shipped)."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mmfa_components.errors import WeightsError
from mmfa_components.geometry.rotations import matrix_to_euler
from mmfa_components.kinds import Context
from mmfa_components.records import Frames
from mmfa_components.registry import Registry
from plugins.hopenet import HopeNetOptions, make_rotation, mmfa_components
from plugins.hopenet.rotation import expected_degrees, make_network

WANTED = {"fc_yaw": 30.0, "fc_pitch": -15.0, "fc_roll": 12.0}  # degrees


@pytest.fixture(scope="module")
def context() -> Context:
    return Registry().context()


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Official layout of the time: no batch counters; heads that say WANTED when the features are small."""
    torch.manual_seed(0)
    tensors = {k: v.clone() for k, v in make_network().state_dict().items() if not k.endswith("num_batches_tracked")}
    for name, degrees in WANTED.items():
        place = (degrees + 99) / 3  # a number of bins: score falls off around it
        tensors[f"{name}.bias"] = -((torch.arange(66.0) - place) ** 2)
    return tensors


@pytest.fixture(scope="module")
def pickled(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hopenet") / "hopenet_alpha1.pkl"
    torch.save(state, path)
    return path


def quiet_heads(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v * 0 if k.startswith("fc_") and k.endswith("weight") else v for k, v in state.items()}


def test_layout_is_the_official_one(state: dict[str, Tensor]) -> None:
    shapes = {k: tuple(v.shape) for k, v in state.items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer3.5.conv3.weight"] == (1024, 256, 1, 1)
    assert shapes["layer4.2.bn3.running_var"] == (2048,)
    assert [shapes[f"fc_{n}.weight"] for n in ("yaw", "pitch", "roll")] == [(66, 2048)] * 3
    assert shapes["fc_finetune.weight"] == (3, 2051)
    assert {k.split(".")[0] for k in shapes} == {
        "conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc_yaw", "fc_pitch", "fc_roll", "fc_finetune",
    }  # fmt: skip


def test_expectation_over_bins() -> None:
    one_hot = torch.full((3, 66), -100.0)
    one_hot[0, 0] = one_hot[1, 33] = one_hot[2, 65] = 100.0
    assert torch.allclose(expected_degrees(one_hot), torch.tensor([-99.0, 0.0, 96.0]))
    between = torch.full((1, 66), -100.0)
    between[0, 40] = between[0, 41] = 0.0
    assert expected_degrees(between).item() == pytest.approx(40.5 * 3 - 99, abs=1e-4)


def test_signs_of_the_matrix(state: dict[str, Tensor], tmp_path: Path, context: Context) -> None:
    path = tmp_path / "w.safetensors"
    save_file(quiet_heads(state), path)
    rotation = make_rotation(HopeNetOptions(str(path)), context)(Frames(torch.rand(2, 3, 256, 256)))
    yaw, pitch, _ = (math.radians(WANTED[k]) for k in ("fc_yaw", "fc_pitch", "fc_roll"))
    nose = rotation.matrix[0, :, 2]
    assert nose[:2].tolist() == pytest.approx([-math.sin(yaw), -math.cos(yaw) * math.sin(pitch)], abs=1e-4)
    degrees = torch.stack(matrix_to_euler(rotation.matrix), 1).rad2deg()
    assert torch.allclose(degrees, torch.tensor([list(WANTED.values())]).expand(2, 3), atol=1e-2)


def test_image_decides_batch_does_not_and_gradient_flows(pickled: Path, context: Context) -> None:
    estimator = make_rotation(HopeNetOptions(str(pickled)), context)
    torch.manual_seed(1)
    rgb = torch.rand(2, 3, 256, 256)
    both = estimator.angles(rgb)
    assert torch.allclose(both[1:], estimator.angles(rgb[1:]), atol=1e-3)
    assert (both[0] - both[1]).abs().max() > 1e-3
    assert len(estimator(Frames(rgb[:0]))) == 0
    image = rgb[:1].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(estimator(Frames(image)).matrix.sum(), image)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0


def test_parallel_checkpoint_is_read(state: dict[str, Tensor], pickled: Path, tmp_path: Path, context: Context) -> None:
    path = tmp_path / "snapshot.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, path)
    rgb = torch.rand(1, 3, 224, 224)
    angles = [make_rotation(HopeNetOptions(str(p)), context).angles(rgb) for p in (path, pickled)]
    assert torch.equal(*angles)


def test_bad_weights_name_the_fix(pickled: Path, state: dict[str, Tensor], tmp_path: Path, context: Context) -> None:
    def fails(path: Path | str) -> str:
        with pytest.raises(WeightsError, match="hopenet_robust_alpha1") as caught:
            make_rotation(HopeNetOptions(str(path)), context)
        return str(caught.value)

    assert "no weights file is named" in fails("")
    assert "there is no such" in fails(tmp_path / "absent.pkl")
    for suffix in (".pkl", ".safetensors"):
        short = tmp_path / f"short{suffix}"
        short.write_bytes(pickled.read_bytes()[: 2**20])
        assert "truncated" in fails(short)
    empty = tmp_path / "empty.pkl"
    empty.touch()
    assert str(empty) in fails(empty)
    other = tmp_path / "other.pth"
    torch.save({k: v for k, v in state.items() if not k.startswith("fc_")} | {"fc.weight": torch.zeros(1000, 2048)}, other)
    assert "unexpected fc.weight" in fails(other) or "missing fc_" in fails(other)
    listing = tmp_path / "list.pth"
    torch.save([1, 2, 3], listing)
    assert "instead of named tensors" in fails(listing)


def test_pickle_that_would_run_code_is_refused(tmp_path: Path, context: Context) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    path = tmp_path / "evil.pkl"
    torch.save({"conv1.weight": Evil()}, path)
    with pytest.raises(WeightsError):
        make_rotation(HopeNetOptions(str(path)), context)
    assert not (tmp_path / "ran").exists()


def test_registration() -> None:
    (spec,) = mmfa_components()
    assert (spec.kind, spec.name, [n.__name__ for n in spec.needs]) == ("rotation_estimator", "hopenet", ["Frames"])
