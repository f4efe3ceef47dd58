"""The proof that a stage can be replaced: a separate distribution, installed with pip, and one line of TOML."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from pipelines.media import VideoWriter, read_image

ROOT = Path(__file__).parents[2]
PORTRAIT = ROOT / "pipelines" / "demo" / "portraits" / "hiker.jpg"
BROKEN = "raise ImportError('a library is missing')"

TOML = f"""
inputs.sources = ["{PORTRAIT}"]
inputs.driving = ["{{here}}/clip.mp4"]
output.folder = "{{here}}/out"
cache.folder = "{{here}}/cache"
animator.options.rotation_estimator = "damped"
"""

MEASURE = """
import torch
from mmfa_components import records as r
from mmfa_components.geometry.rotations import euler_to_matrix, geodesic_degrees
from mmfa_components.registry import load_registry

registry = load_registry()
context = registry.context("cpu")
face = context.weights.read("facemesh_geometry")["canonical"].float()
turned = face @ euler_to_matrix(torch.tensor(0.6), torch.tensor(0.0), torch.tensor(0.0)).T
points = (128 + 60 * turned / face.abs().max()) * torch.tensor([1.0, 1.0, -1.0])  # landmarks: smaller z = nearer
points = torch.cat([points, points[:10]])  # 468 of the skin and ten of the pupils, which the rotation does not use
landmarks = r.Landmarks(points[None], torch.ones(1))
crops = r.Frames(torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)))

def angle(**options):
    with torch.no_grad():
        motion = registry.build("animator", "mmfa", options, context).decompose(crops, landmarks)
    return float(geodesic_degrees(torch.eye(3), motion.rotation[0]))

print(angle(), angle(rotation_estimator="damped"),
      angle(rotation_estimator="damped", parts={"rotation_estimator": {"keep": 0.25}}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the swap distribution into, and that also holds a broken plugin."""
    folder = tmp_path_factory.mktemp("swap")
    source, site = folder / "source", folder / "site"
    shutil.copytree(ROOT / "tests" / "swap_plugin", source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(source)], check=True, timeout=120)
    (site / "mmfa_test_broken.py").write_text(BROKEN, encoding="utf-8")
    info = site / "mmfa_test_broken-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mmfa-test-broken\nVersion: 0.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[mmfa]\nshards = mmfa_test_broken\n", encoding="utf-8")
    return site


def python(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with what pip installed in ``site``."""
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240)


def test_the_installed_component_is_listed_with_its_origin(site: Path) -> None:
    done = python(site, "-m", "plugins", "list", "--json")
    assert done.returncode == 0, done.stderr
    known = json.loads(done.stdout)
    (own,) = [c for c in known["components"] if c["name"] == "damped"]
    assert (own["kind"], own["distribution"], own["entry_point"]) == (
        "rotation_estimator", "mmfa-swap-example 1.2.3", "swap_example = mmfa_swap_example",
    )  # fmt: skip
    assert {o["name"]: o["default"] for o in own["options"]} == {"keep": 0.5, "of": "facemesh"}
    (broken,) = [p for p in known["plugins"] if p["broken"]]
    assert broken["plugin"] == "shards"
    assert "a library is missing" in broken["traceback"]


def test_the_replaced_stage_changes_the_motion_as_it_says(site: Path) -> None:
    done = python(site, "-c", MEASURE)
    assert done.returncode == 0, done.stderr
    plain, half, quarter = map(float, done.stdout.split())
    assert plain == pytest.approx(34.4, abs=1.0)  # 0.6 rad
    assert half == pytest.approx(plain / 2, abs=0.1)
    assert quarter == pytest.approx(plain / 4, abs=0.1)


def test_one_toml_line_runs_it_and_the_broken_plugin_stops_only_who_uses_it(site: Path, tmp_path: Path) -> None:
    picture = read_image(PORTRAIT).rgb
    height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
    with VideoWriter(tmp_path / "clip.mp4", width, height, Fraction(1, 25), Fraction(25)) as writer:
        writer.write(picture[:height, :width].expand(2, -1, -1, -1), [0, 1])
    (tmp_path / "swap.toml").write_text(TOML, encoding="utf-8")
    done = python(site, "-m", "pipelines.run", str(tmp_path / "swap.toml"))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["totals"]["done"] == 1
    rotation = [part["name"] for part in report["components"]["animator"]["parts"] if part["kind"] == "rotation_estimator"]
    assert set(rotation) == {"damped", "facemesh"}  # the one of the TOML line; the one it is made of and expressions are read with
    assert (tmp_path / "out" / "hiker__clip.mp4").is_file()

    done = python(site, "-m", "pipelines.run", str(tmp_path / "swap.toml"), "--set", "animator.options.rotation_estimator=shards")
    assert done.returncode == 2
    assert "broken plugins: shards" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_distribution_the_same_line_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    (tmp_path / "swap.toml").write_text(TOML, encoding="utf-8")
    done = python(tmp_path, "-m", "pipelines.run", str(tmp_path / "swap.toml"), "--dry-run")
    assert done.returncode == 2
    assert "animator.options.rotation_estimator: no rotation_estimator is called 'damped'" in done.stderr
