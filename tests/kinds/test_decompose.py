"""Kind "decompose": clips into the cache, bad ones alone, nothing twice."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from disc_face import disc_registry
from disc_media import disc_plan, swinging, write_clip, write_portrait
from rich.console import Console

from cache.listing import entries
from cache.motion_file import MotionFile
from mmfa_components.errors import ConfigError
from mmfa_components.registry import Registry, load_registry
from pipelines.catalogue import SHIPPED
from pipelines.kinds.decompose import KIND
from pipelines.run import main
from pipelines.runs.decompositions import DecomposeReport, decompose_all


@pytest.fixture(scope="module")
def registry() -> Registry:
    return disc_registry()


def decompose(folder: Path, files: list[Path], registry: Registry) -> tuple[DecomposeReport, str]:
    text = StringIO()
    pipeline = disc_plan(folder, [], []).pipeline
    return decompose_all(pipeline, files, registry, Console(file=text, width=200)), text.getvalue()


def test_clips_fill_the_cache_once_and_bad_ones_fail_alone(tmp_path: Path, registry: Registry) -> None:
    swing, short = write_clip(tmp_path / "swing.mp4", swinging(27)), write_clip(tmp_path / "short.mp4", swinging(8))
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    nobody = write_clip(tmp_path / "nobody.mp4", [[] for _ in range(4)])
    files = [swing, empty, nobody, write_portrait(tmp_path / "still.png"), short]
    report, text = decompose(tmp_path, files, registry)
    assert report.exit_code == 1
    assert [c.error is None for c in report.clips] == [True, False, False, False, True]
    assert [c.error.where for c in report.clips if c.error] == [str(empty), str(nobody), str(files[3])]
    assert report.totals() == {"clips": 2, "from_cache": 0, "failed": 3, "frames": 35, "wall": report.totals()["wall"]}
    assert sorted(e.record_name for e in entries(tmp_path / "cache") if e.record_name == "Motion") == ["Motion", "Motion"]
    assert "2 clips, 35 frames, 0 from the cache, 3 failed" in text
    assert json.loads(report.to_json())["format"] == "mmfa-decompose-report/1"
    again, _ = decompose(tmp_path, [swing, short], registry)
    assert (again.exit_code, again.totals()["from_cache"]) == (0, 2)


def test_ctrl_c_keeps_what_is_finished(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [write_clip(tmp_path / f"{n}.mp4", swinging(n)) for n in (6, 7)]
    from pipelines.runs import decompositions

    seen: list[str] = []

    class Stopping(decompositions.Preparation):
        """Ctrl-C arrives in the second clip."""

        def clip(self, path: Path, *rest: Any) -> Any:
            seen.append(path.name)
            if len(seen) == 2:
                raise KeyboardInterrupt
            return super().clip(path, *rest)

    monkeypatch.setattr(decompositions, "Preparation", Stopping)
    report, text = decompose(tmp_path, files, registry)
    assert (report.exit_code, len(report.clips)) == (130, 1)
    assert "run the same command again" in text


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    changes = ["cache.mode=off", "engine.name=rai", 'inputs.files=["absent/*.mp4"]', "face.detector.name=facemsh"]
    with pytest.raises(ConfigError) as caught:
        KIND.load(SHIPPED / "decompose.toml", changes, load_registry())
    text = str(caught.value)
    for words in ("cache.mode", "engine.name", "inputs.files", "did you mean 'facemesh'"):
        assert words in text
    with pytest.raises(ConfigError, match="names no file"):
        KIND.load(SHIPPED / "decompose.toml", ["inputs.files=[]"], load_registry())


def test_the_shipped_file_is_planned(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decompose", "--dry-run"]) == 0
    assert "each followed and decomposed once by mmfa" in capsys.readouterr().out
    assert main(["decompose", "--dry-run", "--json"]) == 0
    assert [Path(f).name for f in json.loads(capsys.readouterr().out)["files"]] == ["laughing_woman.mp4", "smiling_man.mp4"]


def test_motion_files_of_clips(tmp_path: Path, registry: Registry) -> None:
    clip = write_clip(tmp_path / "swing.mp4", swinging(6))
    pipeline = disc_plan(tmp_path, [], []).pipeline
    report = decompose_all(pipeline, [clip], registry, Console(file=StringIO()), tmp_path / "motions")
    assert report.exit_code == 0
    file = MotionFile(tmp_path / "motions" / "swing.motion.zip")
    assert (len(file), file.header.rate, file.header.source, file.header.synthetic) == (6, 25, "swing.mp4", False)
    assert file.header.square is not None
    assert file.header.source_digest == report.clips[0].report.digest
