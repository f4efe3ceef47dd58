"""Kind edit on the disc system, whose results can be measured: origins, curves, timing, motion files, pictures, videos as source."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from disc_media import decompose_video

from cache.motion_file import MotionFile
from mmfa_components.errors import ConfigError
from mmfa_components.geometry.edit import angles_of
from mmfa_components.records import Motion, RegionalMotion
from pipelines.catalogue import SHIPPED
from pipelines.config.faults import Faults
from pipelines.config.load import read_pipeline, read_toml
from pipelines.editing.schema import EditPipeline, MotionTable, Timing
from pipelines.media import probe, read_image, read_metadata
from pipelines.runs.job_keys import read_notes


def measured(path: Path) -> Motion:
    return decompose_video(path)


def yaw_of(path: Path) -> torch.Tensor:
    return angles_of(measured(path))[:, 0]


def result(report: Any) -> Path:
    (job,) = report.jobs
    assert job.status == "done", job.error
    return Path(job.output)


def test_keyframes_turn_a_portrait(run: Any, media: Path) -> None:
    keys = "[[motion.yaw.keys]]\ntime = 0.0\nvalue = -20\nease = 'in_out'\n[[motion.yaw.keys]]\ntime = 0.4\nvalue = 20\n"
    report = run("edit", f"inputs.sources = ['{media}/red.png']\nmotion.yaw.take = 'curve'\n{keys}")
    yaw = yaw_of(result(report))
    assert len(yaw) == 11
    share = torch.linspace(0, 1, 11)
    torch.testing.assert_close(yaw, -20 + 40 * share * share * (3 - 2 * share), atol=2.5, rtol=0)
    assert "done" in run.screen
    assert Path(report.contact_sheet).is_file()


def test_a_still_edit_gives_a_picture(run: Any, media: Path) -> None:
    report = run("edit", f"inputs.sources = ['{media}/red.png']\nmotion.scale.offset = 0.25\noutput.mark = true")
    path = result(report)
    assert path.suffix == ".png"
    notes = read_metadata(path)
    assert "synthetic" in notes["synthetic"]
    assert notes["model"] == "disc 1"
    assert notes["motion"] == "edited"
    assert read_image(path).rgb.shape == (64, 64, 3)
    again = run("edit", f"inputs.sources = ['{media}/red.png']\nmotion.scale.offset = 0.25\noutput.mark = true")
    assert again.jobs[0].status == "skipped"
    assert run("edit", f"inputs.sources = ['{media}/red.png']\nmotion.scale.offset = 0.3\noutput.mark = true").jobs[0].status == "done"


def test_attributes_come_from_different_clips(run: Any, media: Path) -> None:
    text = f"""
inputs.sources = ['{media}/red.png']
inputs.driving = ['{media}/swing.mp4']
motion.reference = 0
motion.rotation.take = "absolute"
motion.expression = {{ take = "absolute", clip = "other" }}
inputs.clips.other = '{media}/other.mp4'
"""
    report = run("edit", text)
    got = measured(result(report))
    assert len(got) == 20
    swing = angles_of(measured_source(media / "swing.mp4", report))[:, 0]
    torch.testing.assert_close(angles_of(got)[:, 0], swing, atol=4.0, rtol=0)
    green = got.expression[:, 0]
    assert float(green[7] - green[0]) > 0.15  # the other clip smiles more and more
    torch.testing.assert_close(green[8:], green[7].expand(12), atol=0.02, rtol=0)  # and is held after its end
    assert float(got.scale.std()) < 0.02
    report = run("edit", text, "timing.beyond=loop")
    looped = measured(result(report)).expression[:, 0]
    torch.testing.assert_close(looped[8:16], looped[:8], atol=0.02, rtol=0)


def measured_source(path: Path, report: Any) -> Motion:
    """The motion the disc animator sees in a clip's own crops, from the cache of the run."""
    from cache import RecordCache
    from cache.listing import entries

    folder = Path(report.jobs[0].output).parents[1] / "cache"
    entry = next(e for e in entries(folder) if e.record_name == "Motion" and e.input_name == path.name)
    stored = RecordCache(folder, "read").open_digest(entry.digest, Motion)
    assert stored is not None
    return stored.read()


def test_a_video_as_source_keeps_its_own_motion_under_the_edit(run: Any, media: Path) -> None:
    plain = yaw_of(result(run("edit", f"inputs.sources = ['{media}/source.mp4']")))
    turned = yaw_of(result(run("edit", f"inputs.sources = ['{media}/source.mp4']", "motion.yaw.offset=15", "output.overwrite=true")))
    assert len(plain) == 12
    assert float(plain[11] - plain[0]) > 10
    torch.testing.assert_close(turned - plain, torch.full((12,), 15.0), atol=4.0, rtol=0)
    pasted = result(run("edit", f"inputs.sources = ['{media}/source.mp4']", "output.frame=paste", "output.overwrite=true"))
    assert (probe(pasted).width, probe(pasted).height) == (160, 120)


def test_the_motion_of_a_result_can_drive_the_next(run: Any, media: Path, tmp_path: Path) -> None:
    """What an edit leaves as a motion file drives kind edit and kind reenact alike, and the result is the same."""
    first = run("edit", f"inputs.sources = ['{media}/red.png']\ninputs.driving = ['{media}/swing.mp4']\noutput.motion = true",
                "motion.rotation.take=absolute", "motion.expression.take=relative")  # fmt: skip
    kept = Path(first.jobs[0].output).with_name("red__swing.motion.zip")
    file = MotionFile(kept)
    assert (len(file), file.header.rate, file.header.synthetic, file.header.source) == (20, Fraction(25), True, "red.png")
    assert file.header.animator["name"] == "disc"
    moved = tmp_path / "mine.motion.zip"
    moved.write_bytes(kept.read_bytes())
    take = "\n".join(f"motion.{name}.take = 'absolute'" for name in ("rotation", "translation", "scale", "expression"))
    again = run("edit", f"inputs.sources = ['{media}/red.png']\ninputs.driving = ['{moved}']\n{take}")
    assert Path(again.jobs[0].output).name == "red__mine.mp4"
    for a, b in zip(measured(result(first)).tensors().values(), measured(result(again)).tensors().values(), strict=True):
        torch.testing.assert_close(a, b)
    modes = "\n".join(f"transfer.{name} = 'absolute'" for name in ("rotation", "translation", "scale", "expression"))
    reenacted = run("reenact", f"inputs.sources = ['{media}/red.png']\ninputs.driving = ['{moved}']\n{modes}\ncache.folder = '{tmp_path}/cache'")
    torch.testing.assert_close(measured(result(reenacted)).rotation, measured(result(first)).rotation)


def test_regions_without_a_regional_animator_are_told(run: Any, media: Path) -> None:
    report = run("edit", f"inputs.sources = ['{media}/red.png']\ninputs.driving = ['{media}/swing.mp4']", "motion.mouth.take=absolute",
                 "output.motion=true")  # fmt: skip
    assert any("eyes and mouth move with the rest" in w for w in report.jobs[0].warnings)
    assert MotionFile(Path(report.jobs[0].output).with_name("red__swing.motion.zip")).record is RegionalMotion


def test_a_motion_file_of_other_weights_is_refused(run: Any, media: Path, tmp_path: Path) -> None:
    from cache.motion_file import RecordRows, write_motion

    motion = Motion(torch.eye(3).expand(4, 3, 3), torch.ones(4), torch.zeros(4, 3), torch.zeros(4, 1))
    animator = {"name": "mmfa", "weights": {"mmfa_base": "abc"}}
    write_motion(tmp_path / "m.motion.zip", RecordRows(motion), None, rate=Fraction(25), time_base=Fraction(1, 25), animator=animator)
    report = run("edit", f"inputs.sources = ['{media}/red.png']\ninputs.driving = ['{tmp_path}/m.motion.zip']\nmotion.rotation.take = 'relative'")
    assert report.exit_code == 1
    assert "its motion was made with mmfa" in report.jobs[0].error.what


def test_one_bad_source_fails_alone(run: Any, media: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    report = run("edit", f"inputs.sources = ['{tmp_path}/bad.png', '{media}/red.png']\nmotion.yaw.offset = 5")
    assert [j.status for j in report.jobs] == ["failed", "done"]
    assert report.exit_code == 1


FAULTS = {
    "motion.yaw.take = 'curve'": "there is no key",
    "motion.yaw.take = 'sideways'": "expected one of",
    "motion.rotation.take = 'constant'": "expected one of",
    "motion.rotation.take = 'relative'": "there is no driving clip",
    "motion.pitch.clip = 'smile'": "no clip is called 'smile'",
    "motion.yaw.keys = [{time = 1.0, value = 1}, {time = 0.5, value = 2}]": "do not rise",
    "motion.yaw.keys = [{time = -1.0, value = 1}]": "before the beginning",
    "motion.yaw.keys = [{time = 0.0, value = 1, ease = 'bouncy'}]": "expected one of",
    "motion.expression.amount = 2.0": "has no meaning",
    "motion.mouth.keys = [{time = 0.0, value = 1}]": "has no meaning",
    "motion.scale.offset = -1.0": "offset",
    "motion.reference = 'best'": "motion.reference",
    "inputs.clips.lost = 'nowhere.mp4'": "there is no file",
    "motion.ya.take = 'source'": "did you mean 'yaw'",
    "provenance.certificate = 'x.pem'": "provenance.key: is missing",
}


@pytest.mark.parametrize("line", FAULTS)
def test_faults_are_told(run: Any, media: Path, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run("edit", f"inputs.sources = ['{media}/red.png']\n{line}")
    assert FAULTS[line] in str(caught.value)


def test_all_faults_at_once(run: Any, media: Path) -> None:
    lines = [line for line in FAULTS if line.startswith(("motion.pitch", "motion.mouth", "motion.rotation.take = 'rel", "inputs.clips"))]
    with pytest.raises(ConfigError, match="5 faults"):
        run("edit", f"inputs.sources = ['{media}/red.png']\n" + "\n".join(lines))


def test_the_shipped_file_writes_out_every_default() -> None:
    faults = Faults()
    made: Any = read_pipeline(SHIPPED / "edit.toml", ("motion.yaw.keys=[]",), EditPipeline, faults)
    assert faults.items == []
    assert (made.motion, made.timing) == (MotionTable(), Timing())
    table = read_toml(SHIPPED / "edit.toml")["motion"]
    for name in MotionTable().edit().channels():
        assert set(table[name]) == set(attrs.asdict(getattr(MotionTable(), name))), name


def test_notes_hold_what_is_needed_to_skip(run: Any, media: Path) -> None:
    report = run("edit", f"inputs.sources = ['{media}/red.png']\ninputs.driving = ['{media}/swing.mp4']", "motion.yaw.take=relative")
    notes = read_notes(result(report))
    assert notes["frames"] == 20
    assert notes["key"] == report.jobs[0].key
    assert "swing.mp4 sha256:" in read_metadata(result(report))["motion"]


def test_a_pickle_as_driving_clip_says_what_to_do(run: Any, media: Path, tmp_path: Path) -> None:
    (tmp_path / "d0.pkl").write_bytes(b"\x80\x04N.")
    report = run("edit", f"inputs.sources = ['{media}/red.png']\ninputs.driving = ['{tmp_path}/d0.pkl']")
    assert "mmfa cache import" in report.jobs[0].error.fix
