"""Bad and unusual inputs in a batch: a bad one fails alone, with file and cause named; the rest is made; the exit code is not 0."""

from __future__ import annotations

import errno
import json
import shutil
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import av
import numpy as np
import pytest
from disc_face import Disc, disc_registry, draw
from disc_media import disc_plan, swinging, write_clip, write_portrait
from PIL import Image

from mmfa_components.errors import ConfigError, MMFAError, OutputError, PluginError, WeightsError
from mmfa_components.registry import Registry
from pipelines.config.schema import Part
from pipelines.media import VideoWriter, probe
from pipelines.runs.run import run_plan


def truncated(path: Path, media: Any) -> Path:
    """An MP4 whose index lies at its end, cut in the middle."""
    data = encode(path, 160, 120, "yuv420p", frames=20).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def audio_only(path: Path, media: Any) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 8000)
    return path


def zero_bytes(path: Path, media: Any) -> Path:
    path.write_bytes(b"")
    return path


def text(path: Path, media: Any) -> Path:
    path.write_text("this is no video\n" * 50)
    return path


def picture(path: Path, media: Any) -> Path:
    return Path(shutil.copy(media.red, path))


def faceless(path: Path, media: Any) -> Path:
    return write_clip(path, [[]] * 5)


BAD_CLIPS: list[tuple[str, Callable[[Path, Any], Path], str]] = [
    ("no_face.mp4", faceless, "no face"),
    ("truncated.mp4", truncated, "cut off or damaged"),
    ("zero.mp4", zero_bytes, "is empty"),
    ("sound.wav", audio_only, "sound but no picture"),
    ("text.mp4", text, "no readable video"),
    ("picture.mp4", picture, "still image"),
]


@pytest.mark.parametrize(("name", "make", "cause"), BAD_CLIPS, ids=[b[0] for b in BAD_CLIPS])
def test_a_bad_clip_fails_alone(
    tmp_path: Path, media: Any, registry: Registry, screen: Any, name: str, make: Callable[[Path, Any], Path], cause: str
) -> None:
    import re

    bad = make(tmp_path / name, media)
    report = run_plan(disc_plan(tmp_path, [media.red, media.blue], [bad, media.short]), registry, screen.console)
    assert report.exit_code == 1
    assert [j.status for j in report.jobs] == ["failed", "done", "failed", "done"]
    error = report.jobs[0].error
    assert error is not None
    assert name in error.where
    assert re.search(cause, error.what), error.what
    assert error.fix
    assert error.trace == ""
    assert name in screen.text
    assert "Traceback" not in screen.text
    assert "2 failed" in screen.text
    assert not report.jobs[0].output or not Path(report.jobs[0].output).exists()
    body = json.loads((tmp_path / "out" / "report.json").read_text())
    assert body["totals"]["failed"] == 2
    assert body["exit_code"] == 1


@pytest.mark.parametrize(("name", "make"), [("zero.png", zero_bytes), ("text.png", text), ("faceless.png", None), ("sound.png", audio_only)])
def test_a_bad_portrait_fails_alone(tmp_path: Path, media: Any, registry: Registry, screen: Any, name: str, make: Any) -> None:
    bad = write_portrait(tmp_path / name, Disc(-99, -99, 3)) if make is None else make(tmp_path / name, media)
    report = run_plan(disc_plan(tmp_path, [bad, media.red], [media.short]), registry, screen.console)
    assert [j.status for j in report.jobs] == ["failed", "done"]
    assert report.exit_code == 1
    assert report.jobs[0].error is not None
    assert name in report.jobs[0].error.where


def test_a_damaged_tail_is_a_warning_and_the_frames_before_it_are_used(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    data = write_clip(tmp_path / "whole.mp4", swinging(120)).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 2 // 3])  # the index lies in front and is whole
    report = run_plan(disc_plan(tmp_path, [media.red], [cut]), registry, screen.console)
    assert report.exit_code == 0, screen.text
    job = report.jobs[0]
    assert 5 < job.frames < 120
    assert len(job.warnings) == 1
    assert job.warnings[0].startswith("cut.mp4:")
    assert job.warnings[0] in screen.text
    assert probe(Path(job.output)).frames == job.frames


def test_a_missing_file_fails_alone(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    report = run_plan(disc_plan(tmp_path, [media.red], [tmp_path / "gone.mp4", media.short]), registry, screen.console)
    assert [j.status for j in report.jobs] == ["failed", "done"]
    assert "gone.mp4" in screen.text


def test_a_video_named_like_an_image_works_as_source(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    disguised = Path(shutil.copy(media.video_source, tmp_path / "looks_like.png"))
    report = run_plan(disc_plan(tmp_path, [disguised], [media.short]), registry, screen.console)
    assert report.exit_code == 0, screen.text
    assert {i.kind for i in report.inputs if "looks_like" in i.path} == {"video"}


def test_several_faces_and_an_index_too_high(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    crowd = write_clip(tmp_path / "crowd.mp4", [[Disc(40, 60, 20), Disc(110, 60, 22)]] * 4)
    plan = disc_plan(tmp_path, [media.red], [crowd, media.short], face={"select": 2})
    report = run_plan(plan, registry, screen.console)
    assert [j.status for j in report.jobs] == ["failed", "done"]
    assert "crowd.mp4: face 2 was asked for, but frame 0 shows 2 faces" in screen.text
    job = attrs.evolve(plan.jobs[0], face=1)
    assert run_plan(attrs.evolve(plan, jobs=(job,)), registry, screen.console).exit_code == 0


def test_one_frame_is_a_clip(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    one = write_clip(tmp_path / "one.mp4", swinging(1))
    report = run_plan(disc_plan(tmp_path, [media.red, one], [one]), registry, screen.console)
    assert report.exit_code == 0, screen.text
    assert [j.frames for j in report.jobs] == [1, 1]


@pytest.mark.parametrize("mode", ["L", "CMYK", "I;16", "LA", "P", "RGBA", "1"])
def test_unusual_images(tmp_path: Path, media: Any, registry: Registry, screen: Any, mode: str) -> None:
    """Grey, CMYK, 16-bit, palette and transparent portraits; a grey disc is still found by its brightness."""
    image = Image.fromarray(draw([Disc(80, 60, 24)], 160, 120).numpy())
    path = tmp_path / f"portrait.{'jpg' if mode == 'CMYK' else 'png'}"
    if mode == "I;16":
        grey = np.where(np.asarray(image)[..., 0] > 128, 60000, 3000).astype(np.uint16)
        Image.fromarray(grey).save(path)
    elif mode in ("L", "LA", "1"):
        image.getchannel("R").point(lambda v: 255 if v > 128 else 0).convert(mode).save(path)
    else:
        image.convert(mode).save(path)
    report = run_plan(disc_plan(tmp_path, [path], [media.short]), registry, screen.console)
    assert report.exit_code == 0, screen.text


def encode(path: Path, width: int, height: int, pixel_format: str, frames: int = 3) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        scale = height / 120
        for i in range(frames):
            disc = Disc(80 * scale + i, 60 * scale, 24 * scale)
            rgb = draw([disc], width, height).numpy()
            file.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        file.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("width", "height", "pixel_format"),
    [(161, 121, "yuv444p"), (160, 120, "yuv420p10le"), (160, 120, "gray"), (3840, 2160, "yuv420p")],
)
@pytest.mark.parametrize("frame", ["crop", "paste"])
def test_unusual_videos(tmp_path: Path, media: Any, registry: Registry, screen: Any, width: int, height: int, pixel_format: str, frame: str) -> None:
    """Odd sizes, 10 bits, grey and 4K, as driving clip and as source."""
    clip = encode(tmp_path / "clip.mp4", width, height, pixel_format)
    report = run_plan(disc_plan(tmp_path, [clip], [clip], output={"frame": frame}), registry, screen.console)
    assert report.exit_code == 0, screen.text
    if frame == "paste":
        info = probe(Path(report.jobs[0].output))
        assert abs(info.width - width) <= 1
        assert abs(info.height - height) <= 1


def test_unknown_names_stop_the_run_before_any_work(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    cases: list[tuple[dict[str, Any], type[MMFAError], str]] = [
        ({"animator": Part("disk")}, PluginError, "did you mean 'disc'"),
        ({"animator": Part("disc", {"slwo": 1.0})}, ConfigError, "did you mean 'slow'"),
        ({"engine": {"name": "in_proces"}}, ConfigError, "did you mean 'in_process'"),
        ({"engine": {"device": "tpu9"}}, ConfigError, "engine.device"),
        ({"engine": {"device": "cuda:77"}}, ConfigError, "no device 'cuda:77'"),
    ]
    for changes, kind, words in cases:
        with pytest.raises(kind, match=words):
            run_plan(disc_plan(tmp_path, [media.red], [media.short], **changes), registry, screen.console)
    assert not list((tmp_path / "out").glob("*.mp4"))


def test_an_unknown_codec_is_named(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    report = run_plan(disc_plan(tmp_path, [media.red], [media.short], output={"codec": "libx246"}), registry, screen.console)
    assert report.exit_code == 1
    assert "libx246" in screen.text
    assert not list((tmp_path / "out").glob("*.mp4"))


def weights_registry(path: Path, architecture: str) -> Registry:
    """The disc system with an animator that loads one tensor from a weights file."""
    from types import SimpleNamespace

    import disc_face

    from mmfa_components.hookspecs import hookimpl
    from mmfa_components.kinds import ComponentSpec
    from mmfa_components.records import HEAD
    from mmfa_components.registry import Plugin, inspect_plugin
    from mmfa_components.weights import WeightsFile

    def factory(options: Any, context: Any) -> Any:
        context.weights.read("disc_weights")
        return disc_face.Animator(options, context)

    @hookimpl
    def mmfa_components() -> list[ComponentSpec]:
        return [ComponentSpec("animator", "weighted", factory, options=disc_face.AnimatorOptions, weights=("disc_weights",), motion=HEAD)]

    @hookimpl
    def mmfa_weights() -> list[WeightsFile]:
        return [WeightsFile("disc_weights", path, architecture)]

    registry = disc_registry()
    target = SimpleNamespace(mmfa_components=mmfa_components, mmfa_weights=mmfa_weights)
    registry.add(inspect_plugin(Plugin("weighted", "tests", "1", "test"), target))
    return registry


def test_weights_missing_truncated_or_of_another_architecture(tmp_path: Path, media: Any, screen: Any) -> None:
    import torch
    from safetensors.torch import save_file

    plan = disc_plan(tmp_path, [media.red], [media.short], animator=Part("weighted"))
    good = tmp_path / "good.safetensors"
    save_file({"x": torch.zeros(100)}, good, {"architecture": "disc/1"})
    (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[:200])
    cases = [
        (tmp_path / "none.safetensors", "disc/1", "cannot be read"),
        (tmp_path / "cut.safetensors", "disc/1", "truncated"),
        (good, "disc/2", "disc/1"),
    ]
    for path, architecture, words in cases:
        with pytest.raises(WeightsError, match=words) as caught:
            run_plan(plan, weights_registry(path, architecture), screen.console)
        assert path.name in caught.value.where
    report = run_plan(plan, weights_registry(good, "disc/1"), screen.console)
    assert report.exit_code == 0
    first = report.components["animator"]["weights"]["disc_weights"]
    save_file({"x": torch.ones(100)}, good, {"architecture": "disc/1"})
    again = run_plan(plan, weights_registry(good, "disc/1"), screen.console)
    assert again.jobs[0].status == "done"  # other weights: not up to date
    assert again.components["animator"]["weights"]["disc_weights"] != first
    assert again.inputs[1].cached == {"track": True, "motion": False}


def test_a_fault_of_a_component_fails_one_job_and_is_kept_in_the_report(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    plan = disc_plan(tmp_path, [media.red], [media.short, media.swing], animator=Part("disc", {"fail_at": 1}))
    report = run_plan(plan, registry, screen.console)
    assert [j.status for j in report.jobs] == ["failed", "done"]
    error = report.jobs[0].error
    assert error is not None
    assert "the disc broke" in error.what
    assert "RuntimeError: the disc broke" in error.trace
    assert "Traceback" not in screen.text
    assert not plan.jobs[0].output.exists()


def test_a_full_disk_keeps_what_is_finished(tmp_path: Path, media: Any, registry: Registry, screen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    join = VideoWriter.join
    calls = 0

    def full(self: Any, *args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        join(self, *args)

    monkeypatch.setattr(VideoWriter, "join", full)
    plan = disc_plan(tmp_path, [media.red], [media.short, media.swing], output={"contact_sheet": ""})
    report = run_plan(plan, registry, screen.console)
    assert [j.status for j in report.jobs] == ["done", "failed"]
    assert "No space left on device" in screen.text
    assert report.jobs[1].error is not None
    assert "free some space" in report.jobs[1].error.fix
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [plan.jobs[0].output.name, "report.json"]


@pytest.mark.parametrize("place", ["file", "/proc/mmfa"])
def test_an_output_folder_that_cannot_be_written_is_said_before_any_work(
    tmp_path: Path, media: Any, registry: Registry, screen: Any, place: str
) -> None:
    if place == "file":
        (tmp_path / "taken").write_text("x")
        place = str(tmp_path / "taken" / "out")
    with pytest.raises(OutputError, match="results cannot be written here"):
        run_plan(disc_plan(tmp_path, [media.red], [media.short], output={"folder": place}), registry, screen.console)
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    (tmp_path / "taken").write_text("x")
    plan = disc_plan(tmp_path, [media.red], [media.short, media.swing], cache={"folder": str(tmp_path / "taken" / "cache")})
    report = run_plan(plan, registry, screen.console)
    assert report.exit_code == 0, screen.text
    assert [j.status for j in report.jobs] == ["done", "done"]
    assert len([w for w in report.warnings if "going on without writing the cache" in w]) == 1
    assert "cache" in screen.text


def test_a_cache_that_becomes_full_is_done_without(
    tmp_path: Path, media: Any, registry: Registry, screen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.stages import store as room

    write = room.Store._write
    failed = []

    def full(self: Any, cache: Any, key: Any, record: Any, spans: Any) -> None:
        if cache is self.cache:
            failed.append(next(iter(spans)))
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, cache, key, record, spans)

    monkeypatch.setattr(room.Store, "_write", full)
    report = run_plan(disc_plan(tmp_path, [media.red], [media.short, media.swing]), registry, screen.console)
    assert report.exit_code == 0, screen.text
    assert len(failed) == 1
    assert any("No space left" in w for w in report.warnings)


def test_lost_faces_are_reported_by_frame_range(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    frames = swinging(30)
    for i in [*range(4, 7), *range(15, 24)]:
        frames[i] = []
    clip = write_clip(tmp_path / "gaps.mp4", frames)
    plan = disc_plan(tmp_path, [media.red], [clip])
    report = run_plan(plan, registry, screen.console)
    assert report.exit_code == 0, screen.text
    assert report.jobs[0].bridged == ["4-6"]
    assert report.jobs[0].lost == ["15-23"]
    assert "no face in frames 15-23" in screen.text
    again = run_plan(plan, registry, screen.console)
    assert again.jobs[0].status == "skipped"
    assert again.jobs[0].lost == ["15-23"]


def test_variable_rate_and_times_are_kept(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    times = [0, 1, 2, 5, 6, 9, 10, 11]
    clip = tmp_path / "variable.mp4"
    with VideoWriter(clip, 160, 120, Fraction(1, 25), Fraction(25)) as writer:
        for time, discs in zip(times, swinging(8), strict=True):
            writer.write(draw(list(discs), 160, 120)[None], [time])
    plan = disc_plan(tmp_path, [media.red], [clip])
    assert run_plan(plan, registry, screen.console).exit_code == 0, screen.text
    from pipelines.media import open_video

    def seconds(path: Path) -> list[Fraction]:
        with open_video(path) as reader:
            return [t * reader.info.time_base for span in reader.spans(8) for t in span.pts]

    assert seconds(plan.jobs[0].output) == seconds(clip)
