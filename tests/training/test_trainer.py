"""The short trainer: data order, steps, going on, settings, preparing a set."""

import csv
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import nn

from mmfa_components.errors import ConfigError, MediaError, WeightsError
from mmfa_components.geometry.rotations import euler_to_matrix, matrix_to_euler
from mmfa_components.networks.presets import Sizes
from mmfa_components.weights import metadata
from pipelines.media import VideoWriter, read_image, write_image
from pipelines.training.convert_vgg import convert, load_vgg
from pipelines.training.dataset import FaceClips
from pipelines.training.loop import Trainer, train
from pipelines.training.prepare import prepare
from pipelines.training.settings import TrainSettings
from pipelines.training.train import settings_with
from pipelines.training.validate import validate

SIZES = Sizes(
    "tiny", image=64, keypoints=4, expression=8, volume_channels=4, volume_depth=2, appearance_channels=(4, 6, 8), appearance_blocks=1,
    keypoint_side=32, keypoint_channels=(4, 6, 8), keypoint_volume=4, keypoint_depth=2, keypoint_ups=(4,), affine_side=32,
    affine_channels=(4, 8, 8), expression_channels=(4, 8, 8), expression_hidden=(16,), motion_stem=6, motion_channels=(6, 8),
    generator_channels=(8, 6, 4), generator_blocks=(1, 1, 1), discriminator_channels=(4, 8, 8, 8),
)  # fmt: skip


class Pixels(nn.Module):
    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [image]


def clips(frames: tuple[int, ...] = (6, 1, 4)) -> FaceClips:
    g = torch.Generator().manual_seed(5)
    parts = []
    for count in frames:
        yaw = 0.5 * torch.randn(count, generator=g)
        parts.append(
            {
                "rgb": torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=g),
                "rotation": euler_to_matrix(yaw, torch.zeros(count), torch.zeros(count)),
                "region": torch.tensor([[30.0, 32, 40, 0.1]]).expand(count, 4).clone(),
            }
        )
    return FaceClips.join(parts)


def test_pairs_stay_within_one_clip_and_follow_the_seed() -> None:
    data = clips((6, 4))
    marked = FaceClips(data.rgb * 0, data.rotation, data.region, data.starts, data.lengths)
    marked.rgb[6:] = 255
    pairs = marked.pairs(32, torch.Generator().manual_seed(0))
    torch.testing.assert_close(pairs.source.mean((1, 2, 3)), pairs.driving.mean((1, 2, 3)))
    again = marked.pairs(32, torch.Generator().manual_seed(0))
    torch.testing.assert_close(pairs.driving_rotation, again.driving_rotation)


def test_mirroring_turns_the_yaw_and_the_region() -> None:
    data = clips((8,))
    pairs = data.pairs(64, torch.Generator().manual_seed(1))
    yaw, _, _ = matrix_to_euler(pairs.driving_rotation)
    own, _, _ = matrix_to_euler(data.rotation)
    mirrored = pairs.driving_region[:, 0] != 30
    assert 10 < int(mirrored.sum()) < 54
    assert set(pairs.driving_region[mirrored, 0].tolist()) == {34.0}
    for value, flipped in zip(yaw, mirrored, strict=True):
        assert (own * (-1 if flipped else 1) - value).abs().min() < 1e-5


def test_single_portraits_are_moved_with_their_rotation() -> None:
    data = clips((1,))
    pairs = data.pairs(16, torch.Generator().manual_seed(2), flip=False)
    _, _, roll = matrix_to_euler(pairs.driving_rotation)
    assert roll.abs().max() > 0.1
    torch.testing.assert_close(pairs.driving_region[:, 3] - 0.1, roll, atol=0.05, rtol=0)
    assert (pairs.source - pairs.driving).abs().mean() > 0.01


def settings(**changes: object) -> TrainSettings:
    return TrainSettings(**{"batch": 4, "gan_from": 1, "minutes": 5.0, **changes})  # type: ignore[arg-type]


def test_a_run_that_goes_on_gives_the_same_losses_as_an_unbroken_one(tmp_path: Path) -> None:
    data = clips()

    def losses(trainer: Trainer, steps: int) -> list[float]:
        found = []
        for _ in range(steps):
            torch.manual_seed(trainer.step)
            found.append({k: float(v) for k, v in trainer.train_step(data, Pixels(), None, 1e-3).items()})
        return [sum(f.values()) for f in found]

    unbroken = losses(Trainer(SIZES, settings(), torch.device("cpu")), 4)
    first = Trainer(SIZES, settings(), torch.device("cpu"))
    losses(first, 2)
    from pipelines.training.loop import save_all

    save_all(first, tmp_path)
    second = Trainer(SIZES, settings(seed=9), torch.device("cpu"))
    second.restore(tmp_path / "checkpoint.pt")
    assert losses(second, 2) == pytest.approx(unbroken[2:], abs=1e-5)
    assert metadata(tmp_path / "mmfa_tiny.safetensors")["architecture"] == "mmfa/tiny/1"


def test_training_lowers_the_loss_and_writes_its_files(tmp_path: Path) -> None:
    data = clips((6,))
    trainer = Trainer(SIZES, settings(steps=50, gan_from=10**9), torch.device("cpu"))
    torch.manual_seed(0)
    start = float(trainer.train_step(data, Pixels(), None, 2e-3)["perceptual"])
    train(trainer, data, Pixels(), tmp_path, report=lambda _: None)
    end = float(trainer.train_step(data, Pixels(), None, 2e-3)["perceptual"])
    assert end < 0.97 * start
    assert (tmp_path / "checkpoint.pt").exists()
    assert "perceptual=" in (tmp_path / "losses.csv").read_text()


def test_a_step_that_is_not_finite_is_skipped() -> None:
    class Broken(nn.Module):
        def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
            return [image * float("nan")]

    trainer = Trainer(SIZES, settings(), torch.device("cpu"))
    before = [p.clone() for p in trainer.model.parameters()]
    assert trainer.train_step(clips(), Broken(), None, 1e-3) == {"skipped": 1}
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


def test_landmark_loss_joins_with_its_ramp() -> None:
    trainer = Trainer(SIZES, settings(landmarks_from=-1, landmarks_ramp=2), torch.device("cpu"))
    losses = trainer.train_step(clips(), Pixels(), lambda result, driving, region: (result - driving).abs().mean() * 0 + 1.0, 1e-4)
    assert float(losses["landmarks"]) == pytest.approx(0.5)


def test_start_from_refuses_other_weights() -> None:
    trainer = Trainer(SIZES, settings(), torch.device("cpu"))
    with pytest.raises(WeightsError, match="missing"):
        trainer.start_from({}, "nowhere")


def test_settings_from_texts() -> None:
    changed = settings_with(["batch=7", "weights.landmarks=2.5", "compile=true"])
    assert (changed.batch, changed.weights.landmarks, changed.compile) == (7, 2.5, True)
    with pytest.raises(ConfigError, match="did you mean 'batch'"):
        settings_with(["batsch=7"])
    with pytest.raises(ConfigError, match="is no int"):
        settings_with(["batch=many"])


def test_validation_of_a_perfect_copy(tmp_path: Path) -> None:
    data = clips((6, 6))
    figures = validate(Trainer(SIZES, settings(), torch.device("cpu")).averaged, data, tmp_path / "val.png")
    assert set(figures) == {"psnr", "psnr_repeated"}
    assert read_image(tmp_path / "val.png").rgb.shape[1] == 2 * 3 * 64


def test_prepare_reads_faces_and_reports_the_rest(tmp_path: Path) -> None:
    face = read_image(Path(__file__).parents[2] / "assets" / "portraits" / "hiker.jpg").rgb[30:486, 60:516]
    write_image(tmp_path / "face.png", face)
    write_image(tmp_path / "grey.png", torch.full((64, 64, 3), 90, dtype=torch.uint8))
    with VideoWriter(tmp_path / "clip.mp4", 456, 456, Fraction(1, 25), Fraction(25)) as writer:
        writer.write(face[None].expand(3, -1, -1, -1), (0, 1, 2))
    manifest = tmp_path / "manifest.csv"
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows([("file", "split"), ("face.png", "train"), ("grey.png", "train"), ("clip.mp4", "train"), ("no.mp4", "train")])
    lines: list[str] = []
    assert prepare(manifest, tmp_path, tmp_path / "out", "cpu", lines.append) == 2
    assert sum("refused" in line for line in lines) == 2
    data = FaceClips.load(tmp_path / "out", "train")
    assert data.lengths.tolist() == [3, 1]
    assert data.rgb.shape == (4, 3, 256, 256)
    yaw, pitch, roll = matrix_to_euler(data.rotation)
    assert max(float(a.abs().max()) for a in (yaw, pitch, roll)) < 0.6
    assert prepare(manifest, tmp_path, tmp_path / "out", "cpu", lines.append) == 2  # finished ones are kept
    with pytest.raises(MediaError, match="no prepared clips"):
        FaceClips.load(tmp_path / "out", "val")


def test_vgg_converter_refuses_other_files(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"no archive")
    with pytest.raises(WeightsError, match="could be read"):
        convert(tmp_path / "x.tar.gz")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_vgg(tmp_path / "missing.safetensors")
