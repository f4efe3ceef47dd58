"""The wheel: what is in it, and that it works from an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from pipelines.catalogue import SHIPPED

ROOT = Path(__file__).parents[2]
PACKAGES = ("mmfa", "mmfa_components", "plugins", "pipelines", "cache")
OTHERS = ("LICENSE", "LICENSE-WEIGHTS", "NOTICE", "README.md", "pyproject.toml")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the sources: a build leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in OTHERS:
        shutil.copy(ROOT / name, folder / "source" / name)
    command = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(folder / "source")]
    subprocess.run(command, check=True, timeout=240)
    return next(folder.glob("mmfa-*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([*PIP, "install", "--no-deps", "--no-index", "--target", str(folder), str(wheel)], check=True, timeout=240)
    return folder


def test_everything_that_is_needed_is_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = next(name for name in names if name.endswith(".dist-info/METADATA"))
        facts = HeaderParser().parsestr(archive.read(info).decode())
        points = archive.read(info.replace("METADATA", "entry_points.txt")).decode()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    for file in (
        "plugins/mmfa/MODEL_CARD.md", "plugins/mmfa/mmfa_base.safetensors", "pipelines/demo/clips/smiling_man.mp4",
        "pipelines/demo/portraits/hiker.jpg", "pipelines/studio/static/studio.css", "pipelines/batch_reenact.toml",
        info.replace("METADATA", "licenses/LICENSE-WEIGHTS"), info.replace("METADATA", "licenses/NOTICE"),
    ):  # fmt: skip
        assert file in names
    assert facts["License-Expression"] == "Apache-2.0 AND LicenseRef-MMFA-Weights"
    assert "mmfa = mmfa.cli:main" in points
    needed = [line for line in facts.get_all("Requires-Dist") if "extra ==" not in line]
    assert not [line for line in needed if line.startswith(("face-alignment", "matplotlib", "jinja2", "ray", "nicegui"))]


def test_it_works_from_an_empty_folder(site: Path, tmp_path: Path) -> None:
    script = (
        "import sys, mmfa\nfrom mmfa.cli import main\n"
        f"assert mmfa.__file__.startswith({str(site)!r}), mmfa.__file__\n"
        "codes = [main(['run', name, '--dry-run', '--json']) for name in sys.argv[1].split(',')]\n"
        "codes.append(main(['pose', mmfa.__path__[0] + '/../pipelines/demo/portraits/hiker.jpg', '--yaw', '10', '-o', 'turned.png']))\n"
        "sys.exit(max(codes))"
    )
    free = {"train", "train_vae", "ablate", "evaluate"}  # want a data set, or fetched weights
    names = sorted(path.stem for path in SHIPPED.glob("*.toml") if path.stem not in free)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-P", "-c", script, ",".join(names)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["turned.png", "turned.report.json"]
