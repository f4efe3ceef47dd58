"""Results whose segments are rendered and encoded side by side: bytes, order, errors, what is held."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from disc_media import disc_plan, swinging, write_clip

from mmfa_components.registry import Registry
from pipelines.media import SegmentEncoder, content_digest, open_video
from pipelines.runs.run import run_plan
from pipelines.stages import encoders as room
from pipelines.stages.encoders import Encoders, Feed


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clip of 27 frames makes three segments."""
    monkeypatch.setattr("pipelines.runs.film.SEGMENT", 10)


def test_bytes_do_not_depend_on_cores_or_on_the_order_segments_are_ready_in(
    tmp_path: Path, media: Any, registry: Registry, screen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = SegmentEncoder.finish
    order: list[int] = []
    changed, backwards = threading.Condition(), False

    def late(self: SegmentEncoder) -> Any:
        segment = finish(self)
        after = 2 - segment.stamps[0] // 1000  # segments that come later
        with changed:
            assert changed.wait_for(lambda: not backwards or len(order) == after, timeout=20)
            order.append(segment.stamps[0])
            changed.notify_all()
        return segment

    monkeypatch.setattr(SegmentEncoder, "finish", late)
    digests, orders = [], []
    for run, (cores, backwards) in enumerate([(1, False), (3, False), (3, True)]):  # noqa: B007 - read by late
        order.clear()
        monkeypatch.setattr("pipelines.stages.worker.cores", lambda cores=cores: cores)
        output = {"frame": "paste", "mark": True}
        plan = disc_plan(tmp_path / str(run), [media.red], [media.swing], output=output)
        assert run_plan(plan, registry, screen.console).exit_code == 0, screen.text
        digests.append(content_digest(plan.jobs[0].output))
        orders.append(list(order))
    assert len(set(digests)) == 1
    assert orders[0] == sorted(orders[0])
    assert orders[2] == [2000, 1000, 0]  # the last segment was ready first


def test_frames_are_those_of_one_segment(tmp_path: Path, media: Any, registry: Registry, screen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a segment begins nothing moves or changes colour."""
    pictures = []
    for length in (10, 128):
        monkeypatch.setattr("pipelines.runs.film.SEGMENT", length)
        plan = disc_plan(tmp_path / str(length), [media.red, media.video_source], [media.swing], output={"frame": "paste", "quality": 1})
        assert run_plan(plan, registry, screen.console).exit_code == 0, screen.text
        for job in plan.jobs:
            with open_video(job.output) as reader:
                pictures.append(torch.cat([s.rgb for s in reader.spans(8)]).float())
    for short, whole in ((0, 2), (1, 3)):
        assert (pictures[short] - pictures[whole]).abs().flatten(1).mean(1).max() < 0.3


def test_what_cannot_be_encoded_fails_its_job_and_no_other(
    tmp_path: Path, media: Any, registry: Registry, screen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, calls = SegmentEncoder.add, 0

    def broken(self: SegmentEncoder, *args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise MemoryError("no room for a picture")
        add(self, *args)

    monkeypatch.setattr(SegmentEncoder, "add", broken)
    plan = disc_plan(tmp_path, [media.red], [media.swing, media.short])
    report = run_plan(plan, registry, screen.console)
    assert [j.status for j in report.jobs] == ["failed", "done"]
    assert not plan.jobs[0].output.exists()
    assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]
    assert not [t for t in threading.enumerate() if t.name.startswith("mmfa-encoder")]


def test_no_more_frames_than_a_few_batches_wait_to_be_encoded(tmp_path: Path, registry: Registry, screen: Any, media: Any, monkeypatch: Any) -> None:
    """With slow encoders rendering waits, however long the clip."""
    from disc_face import Animator

    path = write_clip(tmp_path / "long.mp4", swinging(150))
    held = most = 0
    lock = threading.Lock()
    add, render = SegmentEncoder.add, Animator.render

    def counted(frames: int) -> None:
        nonlocal held, most
        with lock:
            held += frames
            most = max(most, held)

    def slow(self: SegmentEncoder, rgb: Any, stamps: Any) -> None:
        time.sleep(0.01)
        add(self, rgb, stamps)
        counted(-len(rgb))

    def watched(self: Any, identity: Any, source: Any, driving: Any) -> Any:
        counted(len(driving))
        return render(self, identity, source, driving)

    monkeypatch.setattr(SegmentEncoder, "add", slow)
    monkeypatch.setattr(Animator, "render", watched)
    monkeypatch.setattr("pipelines.stages.worker.cores", lambda: 2)
    report = run_plan(disc_plan(tmp_path, [media.red], [path]), registry, screen.console)
    assert report.exit_code == 0, screen.text
    assert held == 0
    assert most <= 4 * (2 * 2 + 2)  # batches of 4: of each of two segments one encoded and one waiting, and those just rendered


def test_encoders_use_one_core_each_and_leave_the_others_their_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        encoders, seen = Encoders(2), []
        for _ in range(3):
            feed = encoders.feed(lambda parcel: seen.append((parcel, torch.get_num_threads())), lambda: len(seen), 100)
            feed.put("a")
            assert feed.end().result(timeout=10) >= 1
        encoders.close()
        assert seen == [("a", 1)] * 3
        assert torch.get_num_threads() == 3
        others: list[int] = []
        thread = threading.Thread(target=lambda: others.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert others == [3]
    finally:
        torch.set_num_threads(before)


def test_large_frames_are_encoded_in_fewer_segments_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PIXELS", 1000)
    encoders = Encoders(4)
    first = encoders.feed(lambda parcel: None, lambda: 1, 600)
    begun = threading.Event()

    def second() -> None:
        encoders.feed(lambda parcel: None, lambda: 2, 600).end()
        begun.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not begun.wait(0.2)
    assert first.end().result(timeout=10) == 1
    assert begun.wait(10)
    encoders.close()
    thread.join()


def test_a_feed_tells_its_errors_to_whoever_hands_over() -> None:
    def take(parcel: str) -> None:
        raise ValueError(parcel)

    feed = Feed(take, lambda: None)
    thread = threading.Thread(target=feed.run)
    thread.start()

    def hand_over() -> None:
        for _ in range(5):
            feed.put("bad")

    with pytest.raises(ValueError, match="bad"):
        hand_over()
    thread.join(10)
    assert not thread.is_alive()
