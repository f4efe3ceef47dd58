"""Sweeps, canonical faces and walks through the latent space."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from disc_media import decompose_video
from PIL import Image
from tiny_training import use_tiny_preset

from mmfa_components.errors import ConfigError
from mmfa_components.geometry.edit import angles_of
from mmfa_components.records import Expression, Latent
from mmfa_components.registry import load_registry
from pipelines.catalogue import SHIPPED
from pipelines.config.faults import Faults
from pipelines.config.load import read_pipeline, read_toml
from pipelines.editing.grid_schema import CanonicalPipeline, InterpolatePipeline, SweepPipeline
from pipelines.editing.latent import interpolated, shifted, strengths
from pipelines.editing.shots import Shot, find_shots
from pipelines.kinds import kind_of
from pipelines.media import read_metadata
from plugins.mmfa.presets import expression_vae, preset


def test_a_sweep_turns_the_head_by_what_was_asked(run: Any, media: Path) -> None:
    text = f"inputs.sources = ['{media}/red.png']\nsweep = {{ yaw = [-20, 0, 20], pitch = [], roll = [] }}\noutput.video = true\noutput.seconds = 0.4"
    report = run("sweep", text)
    assert report.exit_code == 0
    assert Image.open(report.grid).width > 600
    assert "synthetic" in read_metadata(Path(report.grid))["synthetic"]
    (video,) = report.videos
    yaw = angles_of(decompose_video(Path(video)))[:, 0]
    assert len(yaw) == 10
    assert float(yaw.min()) == pytest.approx(-20, abs=3)
    assert float(yaw.max()) == pytest.approx(20, abs=4)
    assert float(yaw[0]) == pytest.approx(float(yaw[-1]), abs=1)


def test_a_face_that_cannot_be_used_fails_alone(run: Any, media: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    report = run("sweep", f"inputs.sources = ['{tmp_path}/bad.png', '{media}/source.mp4#3']\nsweep = {{ yaw = [0], pitch = [], roll = [] }}")
    assert report.exit_code == 1
    assert list(report.failed) == ["bad.png"]
    assert report.rows == ["source.mp4#3 yaw"]


def test_an_animator_without_canonical_faces_says_so(run: Any, media: Path) -> None:
    with pytest.raises(ConfigError, match="no canonical face"):
        run("canonical", f"inputs.sources = ['{media}/red.png']")


def test_pairs_without_a_vae(run: Any, media: Path) -> None:
    """Along a straight line between features, the disc's green goes evenly from the one's to the other's."""
    text = f"""
interpolate = {{ pairs = [['{media}/other.mp4#0', '{media}/other.mp4#7']], space = "feature", prior = 0, units = "none", steps = 3 }}
output.video = true
output.seconds = 0.36
"""
    report = run("interpolate", text)
    green = decompose_video(Path(report.videos[0])).expression[:, 0]
    assert len(green) == 9
    torch.testing.assert_close(green[:5], torch.linspace(float(green[0]), float(green[4]), 5), atol=0.02, rtol=0)
    assert float(green[4] - green[0]) > 0.15
    torch.testing.assert_close(green[5:], green[:4].flip(0), atol=0.02, rtol=0)


def test_without_weights_the_fix_is_named() -> None:
    use_tiny_preset()
    registry = load_registry()
    path = SHIPPED / "interpolate.toml"
    overrides = ["weights.mmfa_vae_base=/nowhere/at/all.safetensors"]
    with pytest.raises(ConfigError, match=r"all\.safetensors"):
        kind_of(path, overrides).load(path, overrides, registry)
    if not registry.weights["mmfa_vae_base"].path.is_file():
        with pytest.raises(ConfigError, match=r"train_vae, then set weights\.mmfa_vae_base"):
            kind_of(path, []).load(path, [], registry)
    plan = kind_of(path, []).load(path, ["interpolate.space=feature", "interpolate.prior=0", "interpolate.units=none"], registry)
    assert len(plan.pairs) == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("interpolate.pairs = [['a.png', 'b.png']]", "there is no file"),
        ("interpolate.pairs = [['a.png']]", "expected a list of 2"),
        ("interpolate = {prior = 0, units = 'none'}", "asks for nothing"),
        ("interpolate.units = 'weakest'", "expected"),
        ("output.grid = 'grid.gif'", "is no .png"),
    ],
)
def test_faults_are_told(run: Any, media: Path, line: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run("interpolate", f"inputs.sources = ['{media}/red.png']\n{line}")
    assert words in str(caught.value)


def test_shots_of_videos(media: Path) -> None:
    faults = Faults()
    shots = find_shots([f"{media}/source.mp4", f"{media}/source.mp4#5", f"{media}/red.png"], "inputs.sources", media, 3, faults)
    assert shots == [Shot(media / "source.mp4", f) for f in (2, 6, 10)] + [Shot(media / "source.mp4", 5), Shot(media / "red.png")]
    assert shots[3].name == "source.mp4#5"
    find_shots([f"{media}/nothing.mp4#5"], "inputs.sources", media, 3, faults)
    assert "there is no file" in faults.items[0].what


# ---- the latent space, on a small VAE --------------------------------------------------------------------------------------
class VAE:
    """A small VAE of random weights as a component."""

    def __init__(self) -> None:
        use_tiny_preset()
        torch.manual_seed(2)
        self.network = expression_vae(preset("tiny").sizes).eval()

    def encode(self, expression: Expression) -> Latent:
        return Latent(*self.network.encode(expression.feature))

    def decode(self, latent: torch.Tensor) -> Expression:
        return Expression(self.network.decode(latent))


@pytest.fixture(scope="module")
def vae() -> VAE:
    return VAE()


@torch.no_grad()
def test_interpolation_starts_and_ends_at_the_rebuilt_features(vae: VAE) -> None:
    first, second = torch.randn(1, 8), torch.randn(1, 8)
    got = interpolated(first, second, torch.tensor([0.0, 0.5, 1.0]), vae)
    for row, feature in ((0, first), (2, second)):
        torch.testing.assert_close(got[row], vae.decode(vae.encode(Expression(feature)).mean).feature[0])
    middle = (vae.encode(Expression(first)).mean + vae.encode(Expression(second)).mean) / 2
    torch.testing.assert_close(got[1], vae.decode(middle).feature[0])
    straight = interpolated(first, second, torch.tensor([0.0, 0.25, 1.0]), None)
    torch.testing.assert_close(straight, torch.cat([first, 0.75 * first + 0.25 * second, second]))


@torch.no_grad()
def test_no_shift_changes_nothing_and_a_shift_is_the_decoders(vae: VAE) -> None:
    feature = torch.randn(1, 8)
    shift = torch.zeros(2, 4)
    shift[1, 2] = 1.5
    got = shifted(vae, feature, shift)
    torch.testing.assert_close(got[0], feature[0])
    mean = vae.encode(Expression(feature)).mean
    torch.testing.assert_close(got[1] - feature[0], (vae.decode(mean + shift[1:]).feature - vae.decode(mean).feature)[0])


@torch.no_grad()
def test_the_strongest_unit_is_the_one_that_changes_most(vae: VAE) -> None:
    first = vae.network.decoder[0]
    kept = first.weight.clone()
    first.weight[:, 1] = 0.0  # this unit has no effect now
    strength = strengths(vae, 4)
    assert int(strength.argmin()) == 1
    assert float(strength[1]) == 0.0
    assert all(math.isfinite(v) for v in strength.tolist())
    first.weight.copy_(kept)


@pytest.mark.parametrize(("name", "schema"), [("sweep", SweepPipeline), ("canonical", CanonicalPipeline), ("interpolate", InterpolatePipeline)])
def test_the_shipped_files_write_out_the_defaults(name: str, schema: type[Any]) -> None:
    faults = Faults()
    made: Any = read_pipeline(SHIPPED / f"{name}.toml", ["interpolate.pairs=[]"] if name == "interpolate" else [], schema, faults)
    assert faults.items == []
    assert getattr(made, name) == getattr(schema(), name)
    table = read_toml(SHIPPED / f"{name}.toml")
    assert set(table[name]) == set(attrs.asdict(getattr(made, name)))
    assert set(table["output"]) == set(attrs.asdict(made.output))
    assert attrs.evolve(made.output, folder="") == attrs.evolve(schema().output, folder="")
