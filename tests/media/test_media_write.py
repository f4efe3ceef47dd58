"""Writing video: exact times, sound in step, odd sizes, colours, atomic publication, errors."""

import errno
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from media_samples import clip
from PIL import Image

from mmfa_components.errors import ConfigError, OutputError
from mmfa_components.processes import process_mark, process_place
from pipelines.media import (
    SEGMENT,
    VideoWriter,
    check_codec,
    open_video,
    probe,
    read_metadata,
    remove_leftovers,
)


def flat(count: int, colour: tuple[int, int, int] = (200, 30, 60), size: tuple[int, int] = (64, 48)) -> torch.Tensor:
    return torch.tensor(colour, dtype=torch.uint8).expand(count, size[1], size[0], 3)


def write(path: Path, pts: list[int], base: Fraction, rate: Fraction, **more: object) -> Path:
    with VideoWriter(path, 64, 48, base, rate, **more) as writer:  # type: ignore[arg-type]
        for start in range(0, len(pts), 5):
            writer.write(flat(len(pts[start : start + 5])), pts[start : start + 5])
    return path


def times(path: Path) -> list[Fraction]:
    with open_video(path) as reader:
        return [p * reader.info.time_base for span in reader.spans(8) for p in span.pts]


@pytest.mark.parametrize(("base", "rate", "step"), [((1, 30000), (30000, 1001), 1001), ((1001, 24000), (24000, 1001), 1), ((1, 25), (25, 1), 1)])
def test_times_and_rate_are_exact(tmp_path: Path, base: tuple[int, int], rate: tuple[int, int], step: int) -> None:
    path = write(tmp_path / "a.mp4", [i * step for i in range(23)], Fraction(*base), Fraction(*rate))
    assert times(path) == [i / Fraction(*rate) for i in range(23)]
    assert probe(path).rate == Fraction(*rate)


def test_variable_rate_and_late_start_survive(tmp_path: Path) -> None:
    stamps = [5000, 5040, 5055, 5200, 6000]
    path = write(tmp_path / "a.mp4", stamps, Fraction(1, 1000), Fraction(25))
    assert [t * 1000 for t in times(path)] == [s - 5000 for s in stamps]


@pytest.mark.parametrize("size", [(63, 47), (64, 47), (1, 1)])
def test_odd_sizes_repeat_the_edge(tmp_path: Path, size: tuple[int, int]) -> None:
    with VideoWriter(tmp_path / "a.mp4", *size, Fraction(1, 25), Fraction(25)) as writer:
        writer.write(flat(2, size=size), [0, 1])
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height) == (size[0] + size[0] % 2, size[1] + size[1] % 2)


@pytest.mark.parametrize("colour", [(200, 30, 60), (0, 0, 0), (255, 255, 255), (20, 200, 90), (10, 40, 240)])
def test_colours_come_back_and_are_tagged(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    with VideoWriter(tmp_path / "a.mp4", 64, 48, Fraction(1, 25), Fraction(25), quality=12) as writer:
        writer.write(flat(3, colour), [0, 1, 2])
    with open_video(tmp_path / "a.mp4") as reader:
        got = next(reader.spans(3)).rgb[1, 20, 20]
    assert (got.int() - torch.tensor(colour)).abs().max() <= 3
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (int(context.colorspace), int(context.color_range)) == (1, 1)


def sound_span(path: Path) -> tuple[float, float]:
    """Start and end in seconds of a file's sound."""
    with av.open(str(path)) as container:
        parts = [(float(f.pts * f.time_base), f.samples / f.sample_rate) for f in container.decode(audio=0)]
    return parts[0][0], parts[-1][0] + parts[-1][1]


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "aac"), (".mkv", "pcm_s16le")])
def test_sound_is_carried_and_ends_with_the_picture(tmp_path: Path, suffix: str, codec: str) -> None:
    source = clip(tmp_path / f"source{suffix}", 50, sound=2.0, sound_codec=codec)
    path = write(tmp_path / "a.mp4", list(range(25)), Fraction(1, 25), Fraction(25), audio_from=source)
    start, end = sound_span(path)
    assert start == pytest.approx(0, abs=0.03)
    assert end == pytest.approx(1.0, abs=0.06)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"


def test_sound_that_starts_late_stays_late(tmp_path: Path) -> None:
    source = clip(tmp_path / "source.mp4", 50, sound=1.2, sound_start=0.6)
    path = write(tmp_path / "a.mp4", list(range(50)), Fraction(1, 25), Fraction(25), audio_from=source)
    assert sound_span(path)[0] == pytest.approx(sound_span(source)[0], abs=0.03)


def test_a_source_without_sound_is_no_fault(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", [0, 1], Fraction(1, 25), Fraction(25), audio_from=clip(tmp_path / "mute.mp4", 3))
    assert not probe(path).has_audio


def test_notes_are_read_back(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", [0, 1], Fraction(1, 25), Fraction(25), metadata={"job": "ab12", "text": 'quo"te'})
    assert read_metadata(path) == {"job": "ab12", "text": 'quo"te'}
    assert read_metadata(tmp_path / "missing.mp4") == {}


def test_same_frames_same_bytes(tmp_path: Path) -> None:
    source = clip(tmp_path / "source.mp4", 20, sound=0.8)
    first, second = (write(tmp_path / f"{n}.mp4", list(range(20)), Fraction(1, 25), Fraction(25), audio_from=source) for n in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_nothing_appears_before_the_end_or_after_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with VideoWriter(tmp_path / "a.mp4", 64, 48, Fraction(1, 25), Fraction(25)) as writer:
            writer.write(flat(2), [0, 1])
            assert not (tmp_path / "a.mp4").exists()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="no frame"), VideoWriter(tmp_path / "b.mp4", 64, 48, Fraction(1, 25), Fraction(25)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_old_result_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", [0, 1], Fraction(1, 25), Fraction(25))
    before = path.read_bytes()

    def fail() -> None:
        with VideoWriter(path, 64, 48, Fraction(1, 25), Fraction(25)) as writer:
            writer.write(flat(1), [0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_bytes() == before


def test_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", 64, 48, Fraction(1, 25), Fraction(25))
    writer.__enter__()
    real = writer._out

    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def mux(self, _: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer._out = Full()  # type: ignore[assignment]
    with pytest.raises(OutputError, match="no space is left"):
        writer.write(flat(2 * SEGMENT), list(range(2 * SEGMENT)))
    writer.__exit__(OutputError, OutputError("x"), None)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder_and_unknown_names(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file"):
        VideoWriter(tmp_path / "file" / "a.mp4", 64, 48, Fraction(1, 25), Fraction(25)).__enter__()
    with pytest.raises(OutputError, match="no container"):
        VideoWriter(tmp_path / "a.nothing", 64, 48, Fraction(1, 25), Fraction(25)).__enter__()
    with pytest.raises(ConfigError, match="did you mean 'libx264'"):
        check_codec("libx2644")
    check_codec("libx264")
    with pytest.raises(ConfigError, match="aac"):
        check_codec("aac")  # a sound encoder


def test_leftovers_of_dead_processes_are_removed(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    gone, own = tmp_path / f".a.part-{process_place()}-{dead.pid}-abcd1234.mp4", tmp_path / f".b.part-{process_mark()}.mp4"
    other = tmp_path / ".hidden.mp4"
    for path in (gone, own, other):
        path.touch()
    assert remove_leftovers(tmp_path) == [gone]
    assert own.exists()
    assert other.exists()


@pytest.mark.parametrize(("suffix", "codec", "close"), [(".gif", "gif", 6.0), (".webp", "libwebp_anim", 8.0)])
def test_moving_pictures_keep_times_colours_and_notes(tmp_path: Path, suffix: str, codec: str, close: float) -> None:
    sweep = torch.linspace(0, 255, 64)[None, :].expand(48, -1)
    frames = torch.stack([torch.stack([sweep, torch.full_like(sweep, 20.0 * i), 255 - sweep], -1) for i in range(9)]).to(torch.uint8)
    path, notes = tmp_path / f"a{suffix}", {"mmfa": '{"key": "k"}', "long": "ü" * 300}
    for _ in range(2):
        with VideoWriter(path, 64, 48, Fraction(1, 50), Fraction(25), codec, metadata=notes, audio_from=clip(tmp_path / "s.mp4", 5)) as writer:
            writer.write(frames[:4], [0, 2, 4, 6])
            writer.write(frames[4:], [8, 10, 12, 14, 20])
        assert read_metadata(path) == notes
    with Image.open(path) as image:
        assert (image.n_frames, image.info["loop"]) == (9, 0)
        seen = []
        for number in range(9):
            image.seek(number)
            image.load()
            seen.append(image.info["duration"])
            difference = torch.from_numpy(np.array(image.convert("RGB"))).float() - frames[number].float()
            assert float(difference.abs().mean()) < close
    assert seen[:7] == [40] * 7
    assert seen[7] == 120


def test_sound_is_written_as_the_container_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    source = Path(__file__).parents[2] / "pipelines" / "demo" / "clips" / "smiling_man.mp4"
    with VideoWriter(path, 64, 48, Fraction(1, 25), Fraction(25), "libvpx-vp9", audio_from=source) as writer:
        writer.write(flat(25), list(range(25)))
    with av.open(str(path)) as made:
        assert made.streams.audio[0].codec_context.name == "opus"
        assert abs(sum(frame.samples for frame in made.decode(audio=0)) / 48000 - 1.0) < 0.05
