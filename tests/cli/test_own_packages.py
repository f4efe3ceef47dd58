"""A ``cache.py`` or a folder ``pipelines`` of the user's is never taken for MMFA's own: command, scripts, workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = "import sys; del sys.path[0]; from mmfa.cli import main; sys.exit(main(sys.argv[1:]))"  # as the installed script does


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder in which every package of ours has a namesake that fails when it is imported."""
    (tmp_path / "pipelines").mkdir()
    for name in ("cache.py", "plugins.py", "mmfa_components.py", "pipelines/__init__.py"):
        (tmp_path / name).write_text(f"raise RuntimeError('{name} of the user')", encoding="utf-8")
    return tmp_path


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.parametrize("start", [("-c", COMMAND), ("-m", "mmfa")], ids=["script", "module"])
@pytest.mark.parametrize("arguments", [("run", "batch_reenact", "--dry-run"), ("cache", "ls"), ("plugins", "list")], ids=lambda a: a[0])
def test_the_command_is_not_taken_over(hostile: Path, start: tuple[str, str], arguments: tuple[str, ...]) -> None:
    done = python(hostile, *start, *arguments)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_script_beside_a_cache_of_its_own_gets_ours(hostile: Path) -> None:
    (hostile / "mine.py").write_text("import mmfa, cache, pipelines.run\nprint(cache.__file__)", encoding="utf-8")
    done = python(hostile, "mine.py")
    assert Path(done.stdout.strip()).parent == ROOT / "cache", done.stderr


def test_one_that_is_imported_already_is_named(hostile: Path) -> None:
    (hostile / "cache.py").write_text("", encoding="utf-8")
    (hostile / "mine.py").write_text("import cache\nimport mmfa", encoding="utf-8")
    said = python(hostile, "mine.py").stderr
    assert f"already imported another one: {hostile / 'cache.py'}" in said
    assert "import mmfa before it" in said


def test_workers_of_ray_find_ours(hostile: Path) -> None:
    script = (
        "import mmfa, ray\nfrom pipelines.config.schema import Ray\nfrom pipelines.engines.ray_cluster import connect\n"
        "connect(Ray(store_mb=80))\n"
        "@ray.remote(num_cpus=0)\ndef place():\n    import cache, pipelines\n    return cache.__file__\n"
        "print(ray.get(place.remote()))\nray.shutdown()\n"
    )
    (hostile / "mine.py").write_text(script, encoding="utf-8")
    done = python(hostile, "mine.py")
    assert Path(done.stdout.strip()).parent == ROOT / "cache", done.stderr
