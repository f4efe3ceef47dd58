"""``mmfa run train_vae`` from a motion cache to a weights file that the VAE component loads."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from cache import CacheKey, RecordCache
from mmfa_components.records import Expression, Motion
from mmfa_components.registry import load_registry
from mmfa_components.weights import metadata
from pipelines.run import main
from plugins.mmfa.presets import preset

CLIPS, FRAMES = 8, 40


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Motion of a few clips under the digest of the shipped encoder; features lie on a bent sheet."""
    folder, width = tmp_path_factory.mktemp("cache"), preset("base").sizes.expression
    g = torch.Generator().manual_seed(0)
    mix = torch.randn(4, width, generator=g)
    weights = {"mmfa_base": load_registry().catalogue().digest("mmfa_base")}
    animator = {"kind": "animator", "name": "mmfa", "version": "1", "options": {}, "weights": weights}
    for clip in range(CLIPS):
        z = torch.randn(FRAMES, 2, generator=g)
        feature = torch.cat([z, z.square()], 1) @ mix
        record = Motion(torch.eye(3).expand(FRAMES, 3, 3), torch.ones(FRAMES), torch.zeros(FRAMES, 3), feature)
        RecordCache(folder).put(CacheKey.of(Motion, [animator], {}, str(clip), str(clip)), record)
    return folder


def run(cache: Path, folder: Path, *changes: str) -> int:
    given = [f"data.cache={cache}", f"run.folder={folder}", "run.steps=300", "run.kl_warmup=50", "collapse.least_units=2", *changes]
    return main(["train_vae", *(part for change in given for part in ("--set", change))])


def test_it_leaves_weights_that_the_component_loads(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cache, tmp_path / "vae") == 0, capsys.readouterr().err
    text = capsys.readouterr().out
    assert f"{CLIPS * FRAMES} features of {CLIPS} clips" in text
    path = tmp_path / "vae" / "mmfa_vae_base.safetensors"
    assert str(path) in text
    assert metadata(path)["features_of"] == load_registry().catalogue().digest("mmfa_base")
    report = json.loads((tmp_path / "vae" / "report.json").read_text())
    assert (report["exit_code"], report["figures"]["collapsed"]) == (0, "")
    with (tmp_path / "vae" / "losses.csv").open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["100", "200", "300"]
    registry = load_registry()
    vae = registry.build("expression_vae", "mmfa", None, registry.context(overrides={"mmfa_vae_base": path}))
    feature = Expression(torch.randn(3, preset("base").sizes.expression))
    latent = vae.encode(feature)
    assert vae.decode(latent.mean).feature.shape == feature.feature.shape


def test_a_run_that_collapsed_fails_and_leaves_no_weights(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cache, tmp_path) == 0
    assert run(cache, tmp_path, "losses.kl=100", "losses.adversarial=0") == 1
    assert "COLLAPSED" in capsys.readouterr().out
    assert not (tmp_path / "mmfa_vae_base.safetensors").exists()
    assert "latent units are active" in json.loads((tmp_path / "report.json").read_text())["figures"]["collapsed"]


def test_faults_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["data.cache=absent", "preset=bas", "run.batch=1", "weights.mmfa_bse=x"]
    assert main(["train_vae", *(part for change in changes for part in ("--set", change))]) == 2
    text = capsys.readouterr().err
    for words in ("data.cache", "mmfa run decompose", "preset", "run.batch", "did you mean 'mmfa_base'"):
        assert words in text
    (tmp_path / "cache").mkdir()
    assert main(["train_vae", "--set", f"data.cache={tmp_path / 'cache'}"]) == 2
    assert "holds no motion of these weights" in capsys.readouterr().err


def test_results_that_cannot_be_written(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert run(cache, tmp_path / "file" / "vae") == 2
    assert "choose another run.folder" in capsys.readouterr().err


def test_the_plan_is_shown(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train_vae", "--dry-run", "--set", f"data.cache={cache}"]) == 0
    assert "10% of the clips held out" in capsys.readouterr().out
    assert main(["train_vae", "--dry-run", "--json", "--set", f"data.cache={cache}"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["run"]["steps"] == 6000
