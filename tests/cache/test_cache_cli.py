"""``mmfa cache`` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from sample_records import Jacobians, entry_folder, key_of, make

from cache import CacheKey, RecordCache
from cache.__main__ import main
from mmfa_components.folders import CACHE_VARIABLE
from mmfa_components.records import Identity, Motion

ANIMATOR = {"kind": "animator", "name": "mmfa", "version": "1", "options": {}, "weights": {"mmfa": "12ab" * 16}}


@attrs.frozen
class Filled:
    """A cache folder with two motions of one clip, an identity and a record of a plugin that is not installed."""

    folder: Path
    old: CacheKey
    new: CacheKey
    plugin: CacheKey


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    folder = tmp_path / "cache"
    cache = RecordCache(folder)
    old = key_of(Motion, components=[ANIMATOR])
    new = key_of(Motion, components=[{**ANIMATOR, "weights": {"mmfa": "98cd" * 16}}])
    plugin = key_of(Jacobians, name="[odd] name.mp4")
    for key, record in ((old, Motion), (new, Motion), (plugin, Jacobians), (key_of(Identity, name="portrait.png"), Identity)):
        cache.put(key, make(record))
    return Filled(folder, old, new, plugin)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line on ``folder`` in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "80"}
    command = [sys.executable, "-m", "cache", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


@attrs.frozen
class Ran:
    """What a command in this process returned and printed."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs the command line on a folder in this process."""

    def caller(folder: Path, *arguments: str) -> Ran:
        code = main([*arguments, "--folder", str(folder)], {})
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return caller


def test_ls_lists_all_with_unknown_records(filled: Filled, call: Callable[..., Ran]) -> None:
    done = call(filled.folder, "ls")
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line.split()[0]: line for line in done.stdout.splitlines()[1:-1]}
    assert len(lines) == 4
    assert "Motion" in lines[filled.old.digest[:12]]
    assert "clip.mp4" in lines[filled.old.digest[:12]]
    odd = lines[filled.plugin.digest[:12]]
    assert "[odd] name.mp4" in odd
    assert "record class not known here" in odd
    assert "4 entries" in done.stdout.splitlines()[-1]


def test_ls_json_and_default_folder(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE)
    (filled.folder.parent / ".cache").mkdir()
    filled.folder.rename(filled.folder.parent / ".cache" / "mmfa")
    done = run(filled.folder.parent, "ls", "--json")
    rows = json.loads(done.stdout)
    assert {r["key"] for r in rows} >= {filled.old.digest, filled.new.digest}
    row = next(r for r in rows if r["key"] == filled.old.digest)
    assert (row["frames"], row["record"], row["note"]) == (5, Motion.fingerprint(), "")
    assert row["fields"]["rotation"] == {"dtype": "float32", "shape": [5, 3, 3]}
    missing = run(filled.folder.parent, "show", "zzz")
    assert missing.returncode == 2
    assert "no entry's key begins with 'zzz'" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_show_and_its_errors(filled: Filled, call: Callable[..., Ran]) -> None:
    done = call(filled.folder, "show", filled.old.digest[:20])
    assert done.returncode == 0
    assert filled.old.digest in done.stdout
    assert "float32 (5, 3, 3)" in done.stdout
    assert json.loads(done.stdout.split("made of\n")[1]) == filled.old.preimage
    missing = call(filled.folder, "show", "zzz")
    assert missing.returncode == 2
    assert "no entry's key begins with 'zzz'" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_verify_and_repair(filled: Filled, call: Callable[..., Ran]) -> None:
    assert call(filled.folder, "verify").returncode == 0
    (entry_folder(filled.folder, filled.old) / "scale/c/0").write_bytes(b"")
    found = call(filled.folder, "verify")
    assert found.returncode == 1
    assert f"{filled.old.digest[:12]}  Motion of clip.mp4: scale/c/0 has 0 bytes" in found.stdout
    assert "damaged" in call(filled.folder, "ls").stdout
    repaired = call(filled.folder, "verify", "--repair", "--json")
    assert repaired.returncode == 1
    report = json.loads(repaired.stdout)
    assert report["entries"] == 4
    assert [d["key"] for d in report["damaged"]] == [filled.old.digest]
    assert Path(report["damaged"][0]["moved"]).exists()
    clean = call(filled.folder, "verify")
    assert (clean.returncode, clean.stdout) == (0, "3 entries checked, 0 damaged\n")


def test_explain(filled: Filled, call: Callable[..., Ran]) -> None:
    sentence = "weights of animator mmfa changed: 12ab12ab12ab... -> 98cd98cd98cd..."
    alone = call(filled.folder, "explain", filled.new.digest[:16])
    assert alone.returncode == 0
    assert sentence in alone.stdout
    both = call(filled.folder, "explain", filled.old.digest[:16], filled.new.digest[:16], "--json")
    assert json.loads(both.stdout)["compared"] == [{"key": filled.old.digest, "differences": [sentence]}]
    none = call(filled.folder, "explain", filled.plugin.digest)
    assert "there was nothing to reuse" in none.stdout
    assert call(filled.folder, "explain", *[filled.old.digest] * 3).returncode == 2


def test_gc(filled: Filled, call: Callable[..., Ran]) -> None:
    os.utime(entry_folder(filled.folder, filled.old) / "complete.json", (1000, 1000))
    dry = call(filled.folder, "gc", "--older-than", "30d", "--dry-run")
    assert "would remove 1" in dry.stdout
    assert "Motion of clip.mp4" in dry.stdout
    assert entry_folder(filled.folder, filled.old).exists()
    assert "removed 1" in call(filled.folder, "gc", "--older-than", "30d").stdout
    assert not entry_folder(filled.folder, filled.old).exists()
    everything = json.loads(call(filled.folder, "gc", "--max-size", "0", "--json").stdout)
    assert (len(everything["removed"]), everything["kept"]) == (3, 0)
    wrong = call(filled.folder, "gc", "--max-size", "lots")
    assert (wrong.returncode, "is not a size" in wrong.stderr) == (2, True)


def test_a_missing_folder_is_empty_and_a_file_is_an_error(tmp_path: Path, call: Callable[..., Ran]) -> None:
    done = call(tmp_path / "none", "ls")
    assert done.returncode == 0
    assert "0 entries" in done.stdout
    (tmp_path / "file").write_text("")
    done = call(tmp_path / "file", "verify")
    assert done.returncode == 2
    assert "not a folder" in done.stderr


def test_record_classes_can_be_given(filled: Filled, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "--folder", str(filled.folder)], {"Jacobians": Jacobians}) == 0
    assert "not known here" not in capsys.readouterr().out


def test_an_older_schema_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    RecordCache(tmp_path).put(key_of(Jacobians), make(Jacobians))
    monkeypatch.setattr(Jacobians, "schema", 2)
    assert main(["ls", "--folder", str(tmp_path)], {"Jacobians": Jacobians}) == 0
    assert "of an older record schema" in capsys.readouterr().out
