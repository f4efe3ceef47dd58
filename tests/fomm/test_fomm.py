"""FOMM on the open seam: the animator, its own rule of transfer, training, and the authors' checkpoints."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from tiny_training import SIDE, Pixels, write_dataset
from torch import Tensor
from torch.nn import functional

from mmfa_components.errors import ConfigError, WeightsError
from mmfa_components.geometry.hull import hull_area
from mmfa_components.geometry.transfer import Mode
from mmfa_components.losses.equivariance import ImageTransform, jacobian_equivariance_loss
from mmfa_components.losses.priors import keypoint_prior_loss
from mmfa_components.networks.motion.dense_2d import DenseMotion2D
from mmfa_components.networks.motion.keypoints_2d import KeypointJacobianDetector
from mmfa_components.networks.motion.sparse import local_motions
from mmfa_components.registry import Registry, load_registry
from mmfa_components.testing import check_animator
from mmfa_components.training.recipe import TrainingRecipe
from pipelines.kinds.train import KIND as TRAIN
from plugins.fomm import animator, convert, model, presets, recipe
from plugins.fomm.animator import KeypointMotion

TINY = presets.Sizes(
    "tiny",
    image=SIDE,
    keypoints=4,
    keypoint_stem=4,
    keypoint_channels=(6, 8),
    motion_stem=6,
    motion_channels=(8, 8),
    generator_channels=(6, 8, 10),
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
def trained(tiny: None, tmp_path: Path) -> tuple[Registry, Path]:
    """A registry, and a weights file of the preset "tiny" whose numbers are random but fixed."""
    torch.manual_seed(3)
    network = model.FOMMModel(TINY)
    with torch.no_grad():  # Jacobians that differ from picture to picture
        network.keypoint_detector.jacobian.weight.normal_(std=0.01)
    path = tmp_path / "fomm_tiny.safetensors"
    save_file(network.state_dict(), path, {"architecture": presets.PRESETS["tiny"].weights["animator"].architecture})
    registry = load_registry()
    file = attrs.evolve(presets.PRESETS["tiny"].weights["animator"], path=path)
    registry.weights[file.name] = file
    return registry, path


def motion(frames: int, seed: int) -> KeypointMotion:
    g = torch.Generator().manual_seed(seed)
    local = torch.eye(2) + 0.2 * torch.randn(frames, 4, 2, 2, generator=g)
    return KeypointMotion(0.5 * torch.randn(frames, 4, 2, generator=g), local)


# ---- networks -------------------------------------------------------------------------------------
def test_local_motions_leave_the_background_and_carry_each_point() -> None:
    source, driving = motion(2, 1), motion(2, 2)
    ratio = source.jacobians @ torch.linalg.inv(driving.jacobians)
    moved = local_motions(source.points, driving.points, ratio, (5, 7))
    assert moved.shape == (2, 5, 5, 7, 2)
    z = moved[:, 0]  # the grid itself
    for k in range(4):
        away = z - driving.points[:, k, None, None]
        wanted = source.points[:, k, None, None] + (ratio[:, k, None, None] @ away[..., None])[..., 0]
        torch.testing.assert_close(moved[:, k + 1], wanted)
    same = local_motions(source.points, source.points, torch.eye(2).expand(2, 4, 2, 2), (5, 7))
    torch.testing.assert_close(same, z[:, None].expand_as(same))


def test_untrained_jacobians_are_one_and_gradients_reach_both() -> None:
    detector = KeypointJacobianDetector(3, 4, (6, 8), shrink=4)
    points, jacobians = detector(torch.rand(2, 3, 64, 64))
    assert points.shape == (2, 3, 2)
    assert float(points.detach().abs().max()) <= 1
    torch.testing.assert_close(jacobians, torch.eye(2).expand(2, 3, 2, 2))
    (points.sum() + jacobians.sum()).backward()
    assert detector.jacobian.weight.grad is not None
    assert float(detector.predictor.down[0].conv.weight.grad.abs().sum()) > 0


def test_dense_motion_of_a_still_head_is_the_identity() -> None:
    network = DenseMotion2D(4, 6, (8, 8)).eval()
    still = motion(1, 1).points
    flow, occlusion = network(torch.rand(1, 3, 64, 64), still, still, torch.eye(2).expand(1, 4, 2, 2))
    grid = local_motions(still, still, torch.eye(2).expand(1, 4, 2, 2), (16, 16))[:, 0]
    torch.testing.assert_close(flow, grid)
    assert occlusion.shape == (1, 1, 16, 16)


def test_the_jacobian_of_a_warp_is_its_derivative() -> None:
    warp = ImageTransform.random(2, torch.device("cpu"), torch.Generator().manual_seed(0))
    points = torch.tensor([[[0.1, -0.3], [0.5, 0.6]]]).expand(2, -1, -1)
    analytic = warp.jacobian(points)

    def one(p: Tensor) -> Tensor:
        return warp.warp_points(p)

    full = torch.autograd.functional.jacobian(one, points)  # (2, 2, 2, 2, 2, 2)
    for n in range(2):
        for p in range(2):
            torch.testing.assert_close(analytic[n, p], full[n, p, :, n, p], rtol=1e-4, atol=1e-4)


def test_jacobians_that_follow_the_warp_cost_nothing() -> None:
    warp = ImageTransform.random(2, torch.device("cpu"), torch.Generator().manual_seed(0))
    seen = motion(2, 5)
    followed = warp.jacobian(seen.points) @ seen.jacobians
    assert float(jacobian_equivariance_loss(followed, seen.jacobians, seen.points, warp)) < 1e-5
    assert float(jacobian_equivariance_loss(seen.jacobians, seen.jacobians, seen.points, warp)) > 0.1


def test_the_hull_of_a_square_and_of_a_line() -> None:
    square = torch.tensor([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0], [1.0, 1.0]])
    assert hull_area(square) == pytest.approx(4.0)
    assert hull_area(torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])) == pytest.approx(1e-8)


# ---- the animator ---------------------------------------------------------------------------------
def test_it_conforms(trained: tuple[Registry, Path]) -> None:
    registry, _ = trained
    options = animator.FOMMOptions(preset="tiny")
    check_animator(registry.spec("animator", "fomm"), registry.context(), options=options)


def test_relative_motion_goes_with_the_sizes_of_both_heads(trained: tuple[Registry, Path]) -> None:
    registry, _ = trained
    moving = registry.build("animator", "fomm", {"preset": "tiny"}, registry.context())
    source, driving, reference = motion(1, 1), motion(3, 2), motion(1, 3)
    ratio = math.sqrt(hull_area(source.points[0]) / hull_area(reference.points[0]))
    result = moving.transfer(source, driving, reference, {})
    wanted = source.points + ratio * (driving.points - reference.points)
    torch.testing.assert_close(result.points, wanted)
    local = driving.jacobians @ torch.linalg.inv(reference.jacobians) @ source.jacobians
    torch.testing.assert_close(result.jacobians, local)
    twice = moving.transfer(source, driving, reference, {"points": Mode("relative", 2.0)})
    torch.testing.assert_close(twice.points - source.points, 2 * (result.points - source.points))
    absolute = moving.transfer(source, driving, reference, {"points": Mode("absolute")})
    torch.testing.assert_close(absolute.points, driving.points)


def test_missing_weights_say_how_to_get_them() -> None:
    registry = load_registry()
    with pytest.raises(WeightsError, match="fomm_base"):
        registry.build("animator", "fomm", None, registry.context())


# ---- the authors' checkpoints ---------------------------------------------------------------------
def theirs(network: model.FOMMModel) -> dict[str, dict[str, Tensor]]:
    """A state as the authors' release lays it out, from one of ours."""
    found: dict[str, dict[str, Tensor]] = {"generator": {}, "kp_detector": {}}
    names = {
        "keypoint_detector.predictor.down.": ("kp_detector", "predictor.encoder.down_blocks."),
        "keypoint_detector.predictor.up.": ("kp_detector", "predictor.decoder.up_blocks."),
        "keypoint_detector.": ("kp_detector", ""),
        "dense_motion.hourglass.down.": ("generator", "dense_motion_network.hourglass.encoder.down_blocks."),
        "dense_motion.hourglass.up.": ("generator", "dense_motion_network.hourglass.decoder.up_blocks."),
        "dense_motion.": ("generator", "dense_motion_network."),
        "generator.down.": ("generator", "down_blocks."),
        "generator.up.": ("generator", "up_blocks."),
        "generator.bottleneck.": ("generator", "bottleneck.r"),
        "generator.": ("generator", ""),
    }
    for name, value in network.state_dict().items():
        start = next(s for s in names if name.startswith(s))
        part, prefix = names[start]
        found[part][prefix + name.removeprefix(start)] = value
    found["kp_detector"]["down.weight"] = torch.ones(3, 1, 13, 13)
    found["generator"]["dense_motion_network.down.weight"] = torch.ones(3, 1, 13, 13)
    return found


@pytest.fixture
def small_paper(monkeypatch: pytest.MonkeyPatch) -> presets.Sizes:
    """The preset "paper" in small, so that a test is quick."""
    sizes = attrs.evolve(TINY, name="paper")
    monkeypatch.setattr(convert, "PAPER", sizes)
    monkeypatch.setitem(presets.PRESETS, "paper", presets.preset_of(sizes))
    return sizes


def test_a_checkpoint_of_the_authors_is_read(small_paper: presets.Sizes, tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = model.FOMMModel(small_paper)
    path = tmp_path / "vox-cpk.pth.tar"
    torch.save({**theirs(network), "epoch": 99}, path)
    read = convert.load_checkpoint(path)
    for name, value in network.state_dict().items():
        assert torch.equal(read.state_dict()[name], value), name
    registry = load_registry()
    built = registry.build("animator", "fomm", {"preset": "paper", "checkpoint": str(path)}, registry.context())
    assert built.crop_size == SIDE
    with pytest.raises(ConfigError, match='set preset = "paper"'):
        registry.build("animator", "fomm", {"checkpoint": str(path)}, registry.context())


def test_the_full_layout_has_the_authors_sizes() -> None:
    """Facts of their configuration (vox-256): channels of some layers."""
    with torch.device("meta"):
        sizes = {k: tuple(v.shape) for k, v in model.FOMMModel(presets.PAPER).state_dict().items()}
    assert sizes["keypoint_detector.predictor.up.0.conv.weight"] == (512, 1024, 3, 3)
    assert sizes["keypoint_detector.kp.weight"] == (10, 35, 7, 7)
    assert sizes["keypoint_detector.jacobian.weight"] == (40, 35, 7, 7)
    assert sizes["dense_motion.hourglass.down.0.conv.weight"] == (128, 44, 3, 3)
    assert sizes["dense_motion.mask.weight"] == (11, 108, 7, 7)
    assert sizes["generator.bottleneck.5.conv2.weight"] == (256, 256, 3, 3)
    assert sizes["generator.final.weight"] == (3, 64, 7, 7)


def test_files_that_do_not_fit_are_named(small_paper: presets.Sizes, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"generator": {"strange.weight": torch.zeros(1)}, "kp_detector": {"kp.weight": torch.zeros(1)}}, path)
    with pytest.raises(WeightsError, match=r"strange\.weight"):
        convert.load_checkpoint(path)


# ---- training -------------------------------------------------------------------------------------
def test_it_learns_on_the_machine(trained: tuple[Registry, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses fall, checkpoint and weights are written, and the file is what the animator loads."""
    registry, _ = trained
    monkeypatch.setattr(recipe.FOMMRecipe, "needs", ())
    monkeypatch.setattr(recipe.FOMMRecipe, "judges", lambda self, context, last: Pixels())
    write_dataset(tmp_path / "data")
    file = tmp_path / "train.toml"
    file.write_text(
        """
        kind = "train"
        model.system = "fomm"
        model.preset = "tiny"
        schedule.adversarial_from = 3
        losses.levels = 1
        optimiser.rate = 2e-3
        data.folder = "{here}/data"
        run = {folder = "{here}/run", device = "cpu", steps = 12, batch = 6, save = 0, log = 1, picture = 0, tensorboard = false}
        """,
        encoding="utf-8",
    )
    plan = TRAIN.load(file, (), registry)
    report = TRAIN.run(plan, registry, Console(file=io.StringIO()))
    assert report.exit_code == 0
    rows = (tmp_path / "run" / "losses.csv").read_text().splitlines()
    names = rows[0].split(",")
    losses = [dict(zip(names, map(float, (v or "nan" for v in row.split(","))), strict=True)) for row in rows[1:]]
    assert losses[-1]["perceptual"] < losses[0]["perceptual"]
    assert math.isfinite(losses[-1]["discriminator"])
    made = load_file(tmp_path / "run" / "fomm_tiny.safetensors")
    assert set(made) == set(model.FOMMModel(TINY).state_dict())


def test_a_wrong_loss_is_told(trained: tuple[Registry, Path], tmp_path: Path) -> None:
    registry, _ = trained
    write_dataset(tmp_path / "data")
    file = tmp_path / "train.toml"
    file.write_text('kind = "train"\nmodel.system = "fomm"\nlosses.jacobian = 1.0\ndata.folder = "{here}/data"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"losses\.jacobian.*\n?.*did you mean 'jacobians'"):
        TRAIN.load(file, (), registry)
    assert issubclass(recipe.FOMMRecipe, TrainingRecipe)


def test_small_matrices_are_not_rounded_under_autocast() -> None:
    """On a GPU training runs under autocast, where products are bfloat16 and ``solve`` fails on them."""
    transform = ImageTransform.random(2, torch.device("cpu"), torch.Generator().manual_seed(0))
    given, points = motion(2, 5), motion(2, 6).points
    exact = jacobian_equivariance_loss(given.jacobians, given.jacobians, points, transform)
    with torch.autocast("cpu", torch.bfloat16):
        found = jacobian_equivariance_loss(given.jacobians, given.jacobians, points, transform)
    torch.testing.assert_close(found, exact)


def test_spread_costs_keypoints_that_follow_one_spot() -> None:
    """Points in one place cost, points far apart do not."""
    x = torch.linspace(-0.9, 0.9, 4)
    grid = torch.stack(torch.meshgrid(x, x, indexing="ij"), -1).view(1, 16, 2)
    apart, together = (keypoint_prior_loss(functional.pad(p, (0, 1))) for p in (grid, 0.1 * grid))
    assert float(apart) == 0.0
    assert float(together) > 1.0
