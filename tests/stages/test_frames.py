"""Frames of clips in chunks: what is passed over is not converted, and no clip is opened anew to go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from media_samples import clip, moving_clip

from mmfa_components.errors import MediaError
from pipelines.media import display, open_video, video_read
from pipelines.stages import frames
from pipelines.stages.frames import FrameSource


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The converter of every frame that is made a picture, with the number of threads it was asked to use."""
    seen: list[Any] = []
    made = display.VideoReformatter

    class Noted:
        def __init__(self) -> None:
            self.convert = made()

        def reformat(self, frame: Any, **options: Any) -> Any:
            seen.append((self.convert, options["threads"]))
            return self.convert.reformat(frame, **options)

    monkeypatch.setattr(display, "VideoReformatter", Noted)
    return seen


def test_only_what_is_wanted_is_converted_and_by_one_converter(tmp_path: Path, converted: list[Any]) -> None:
    path = clip(tmp_path / "a.mp4", 12)
    with open_video(path) as reader:
        whole = torch.cat([span.rgb for span in reader.spans(5)])
    assert len(converted) == 12
    converted.clear()
    source = FrameSource()
    assert torch.equal(source.read(path, 1, 3), whole[1:3])
    assert torch.equal(source.read(path, 9, 11), whole[9:11])  # a little ahead
    assert len(converted) == 4
    assert len({id(convert) for convert, _ in converted}) == 1
    assert {threads for _, threads in converted} == {1}
    assert torch.equal(source.read(path, 0, 2), whole[:2])  # back: from the start again
    assert len(converted) == 6
    source.close()


def test_chunks_to_the_end_and_beyond_it(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 12)
    source = FrameSource()
    assert [len(chunk.rgb) for chunk in source.chunks(path, 2, None, 4)] == [4, 4, 2]
    with pytest.raises(MediaError, match="ended at frame 12, frame 14 was wanted"):
        list(source.chunks(path, 8, 15, 4))
    source.close()


def test_a_far_span_is_entered_by_its_timestamp_and_a_near_one_is_read_on_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = moving_clip(tmp_path / "a.mp4", 60, "libx264", {"g": "10"})
    with open_video(path) as reader:
        stamps, whole = zip(*((frame.pts, frame.rgb()) for frame in reader.frames()), strict=True)
    entered: list[int] = []
    enter = video_read.VideoReader._enter_at
    monkeypatch.setattr(video_read.VideoReader, "_enter_at", lambda reader, pts: entered.append(pts) or enter(reader, pts))  # type: ignore[func-returns-value]
    monkeypatch.setattr(frames, "JUMP", 20)
    source = FrameSource()
    for start, jumps in ((5, 0), (15, 0), (45, 1), (50, 1), (30, 2), (3, 2)):
        (chunk,) = source.chunks(path, start, start + 4, 4, stamps[start])
        assert torch.equal(chunk.rgb, torch.stack(whole[start : start + 4]))
        assert chunk.pts == stamps[start : start + 4]
        assert len(entered) == jumps
    source.close()
