"""The paper's backbones: architectures against independent ones, loaders with generated files, and errors for missing files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from mmfa_components import records as r
from mmfa_components.errors import ConfigError, WeightsError
from mmfa_components.metrics.inception import FIDInception
from mmfa_components.metrics.openface import OpenFace
from mmfa_components.registry import Registry, load_registry
from mmfa_components.torchvision_import import import_torchvision
from plugins.face_metrics.deep3d import FACE_SIZE, SIDE, STANDARD, Deep3DRegressor, standard_squares


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def filled(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network with random weights whose activations neither vanish nor explode, batch norm statistics included."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            fan = module.weight[0].numel()
            module.weight.data.normal_(0, (2 / fan) ** 0.5, generator=generator)
            if module.bias is not None:
                module.bias.data.normal_(0, 0.1, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5, generator=generator)  # type: ignore[union-attr]
    return network.eval()


def average_without_padding(block: nn.Module) -> None:
    """Patch a torchvision block so that its pooled branch is FID's."""
    block.branch_pool.register_forward_pre_hook(lambda _, x: None)
    original = type(block)._forward

    def forward(x: torch.Tensor) -> list[torch.Tensor]:
        plain = functional.avg_pool2d
        functional.avg_pool2d = lambda *a, **k: plain(*a, **{**k, "count_include_pad": False})
        try:
            return original(block, x)
        finally:
            functional.avg_pool2d = plain

    block._forward = forward  # type: ignore[assignment]


def fid_of_torchvision() -> nn.Module:
    """FID's Inception made of torchvision's blocks: an independent implementation."""
    models = import_torchvision("torchvision.models")
    network = models.inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False, transform_input=False)
    for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7b"):
        average_without_padding(getattr(network, name))
    last = network.Mixed_7c
    plain_forward = type(last)._forward

    def forward(x: torch.Tensor) -> list[torch.Tensor]:
        plain = functional.avg_pool2d
        functional.avg_pool2d = lambda x, **k: functional.max_pool2d(x, **k)
        try:
            return plain_forward(last, x)
        finally:
            functional.avg_pool2d = plain

    last._forward = forward
    network.fc = nn.Identity()
    return network.eval()


def test_inception_is_that_of_fid() -> None:
    ours = filled(FIDInception())
    theirs = fid_of_torchvision()
    state = {k: v for k, v in ours.state_dict().items() if not k.startswith("fc.")}
    theirs.load_state_dict(state)  # strict: every name and shape is the official one
    assert ours.fc.weight.shape == (1008, 2048)
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    scaled = 2 * functional.interpolate(image, (299, 299), mode="bilinear", align_corners=False) - 1
    with torch.inference_mode():
        a, b = ours(image), theirs(scaled)
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert float(a.std()) > 1e-3


def test_openface_has_the_published_size_and_gives_unit_vectors() -> None:
    network = filled(OpenFace())
    assert sum(p.numel() for p in network.parameters()) == 3_733_968  # as stated for nn4.small2 by OpenFace
    with torch.inference_mode():
        faces = torch.rand(3, 3, 96, 96, generator=torch.Generator().manual_seed(2))
        vectors = network(faces)
        torch.testing.assert_close(vectors[1:2], network(faces[1:2]))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3), atol=1e-3, rtol=0)
    assert not torch.allclose(vectors[0], vectors[1], atol=1e-3)


@pytest.fixture(scope="module")
def openface_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("openface") / "openface.pth"
    state = {k: v for k, v in filled(OpenFace()).state_dict().items() if "num_batches" not in k}
    torch.save(state, path)
    return path


def test_aed_with_openface_loads_the_users_file(registry: Registry, openface_file: Path) -> None:
    metric = registry.build("metric", "aed", {"backbone": "openface", "weights": str(openface_file)}, registry.context("cpu"))
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        figures = metric(r.Frames(images), r.Frames(images.flip(0)))
        vectors, _ = metric.embeddings(r.Frames(images))
        torch.testing.assert_close(metric(r.Frames(images), r.Frames(images)), torch.zeros(2))
    torch.testing.assert_close(figures, (vectors[0] - vectors[1]).square().sum().expand(2))
    assert "OpenFace" in metric.facts.backbone
    assert "stands in" not in metric.facts.backbone


def test_apd_with_deep3d_loads_the_users_file(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "epoch_20.pth"
    torch.save({"net_recon": filled(Deep3DRegressor()).state_dict(), "opt_00": {"state": {}}}, path)
    metric = registry.build("metric", "apd", {"backbone": "deep3d", "weights": str(path)}, registry.context("cpu"))
    assert "Deep3D" in metric.facts.backbone
    with torch.inference_mode():
        assert metric.pose.network(torch.rand(1, 3, 224, 224)).shape == (1, 257)


def test_deep3d_looks_at_its_own_square() -> None:
    size, shift = 40.0, torch.tensor([130.0, 90.0])
    five = torch.tensor(STANDARD)[:, :2] * torch.tensor([1.0, -1.0]) * size + shift
    points = torch.zeros(1, 68, 2)
    for index, point in zip(((36, 39), (42, 45), (30,), (48,), (54,)), five, strict=True):
        points[0, list(index)] = point
    square = standard_squares(points)[0]
    torch.testing.assert_close(square, torch.tensor([130.0, 90.0, size * SIDE / FACE_SIZE, 0.0]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "backbone", "words"),
    [("aed", "openface", "openface.pth"), ("apd", "deep3d", "epoch_20.pth"), ("fid", "inception", "pt_inception-2015-12-05-6726825d.pth")],
)
def test_a_missing_file_is_an_error_never_another_backbone(
    registry: Registry, openface_file: Path, tmp_path: Path, name: str, backbone: str, words: str
) -> None:
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, other)
    for weights in ("", str(tmp_path / "nowhere.pth"), str(other)):
        with pytest.raises(WeightsError) as caught:
            registry.build("metric", name, {"backbone": backbone, "weights": weights}, registry.context("cpu"))
        assert words in caught.value.fix
    with pytest.raises(ConfigError):
        registry.build("metric", name, {"backbone": "something"}, registry.context("cpu"))


def test_akd_with_2dfan_needs_the_users_file(registry: Registry, tmp_path: Path) -> None:
    options = {"landmark_detector": "face_alignment", "landmark_options": {"weights": str(tmp_path / "no.pth")}}
    with pytest.raises(WeightsError, match="none is shipped") as caught:
        registry.build("metric", "akd", options, registry.context("cpu"))
    assert "2DFAN4" in caught.value.fix


@pytest.mark.parametrize(("name", "fetched"), [("fid", "lpips_alex"), ("aed", "sface"), ("lpips", "lpips_alex"), ("csim", "sface")])
def test_unfetched_weights_are_named_with_the_command(name: str, fetched: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMFA_WEIGHTS", str(tmp_path))
    own = load_registry()
    with pytest.raises(WeightsError) as caught:
        own.build("metric", name, {}, own.context("cpu"))
    assert caught.value.fix == f"mmfa plugins fetch {fetched}"
