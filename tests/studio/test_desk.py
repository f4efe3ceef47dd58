"""Desk, worker, jobs and recipes on small faces, without a browser."""

from __future__ import annotations

import asyncio
import io
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from disc_face import Disc, disc_registry
from disc_media import disc_plan, swinging, write_clip, write_portrait
from PIL import Image

from mmfa_components.errors import ConfigError
from pipelines.config.schema import Pipeline
from pipelines.editing.plan import load_edit
from pipelines.media import probe
from pipelines.studio.desk import Desk
from pipelines.studio.job import Job, progress_text
from pipelines.studio.recipe import toml_text, write_recipe
from pipelines.studio.sessions import Session
from pipelines.studio.settings import Settings
from pipelines.studio.uploads import Upload
from pipelines.studio.worker import Latest, StudioWorker

REGISTRY = disc_registry()


def pipeline(folder: Path) -> Pipeline:
    return disc_plan(folder, [], []).pipeline


def upload(path: Path) -> Upload:
    return Upload(path, path.name, probe(path))


@attrs.define
class Seen:
    """What a desk told its page."""

    desk: Any = None
    pictures: list[bytes] = attrs.field(factory=list)
    states: set[str] = attrs.field(factory=set)

    def changed(self) -> None:
        if self.desk is not None:
            self.states |= {side.state for side in self.desk.sides.values()}

    async def until(self, true: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 20
        while not true():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


def at_desk(folder: Path, work: Callable[[Desk, Seen], Any]) -> None:
    """Run ``work`` at a desk of its own."""

    async def run() -> None:
        (folder / "session").mkdir()
        worker, seen = StudioWorker(pipeline(folder), REGISTRY), Seen()
        desk = Desk(Session("t", folder / "session"), worker, seen.changed, lambda jpeg, seconds: seen.pictures.append(jpeg))
        seen.desk = desk
        try:
            await work(desk, seen)
        finally:
            desk.close()
            await asyncio.to_thread(worker.close)

    asyncio.run(run())


def nose(jpeg: bytes) -> float:
    """Where the white nose is, left to right in [0, 1]."""
    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    columns = [x for x in range(image.width) for y in range(image.height) if min(image.getpixel((x, y))) > 180]  # type: ignore[type-var]
    return sum(columns) / len(columns) / image.width


def test_the_picture_follows_the_settings_and_the_clip(tmp_path: Path) -> None:
    portrait = write_portrait(tmp_path / "me.png")
    clip = write_clip(tmp_path / "swing.mp4", swinging(13))

    async def work(desk: Desk, seen: Seen) -> None:
        desk.take("portrait", upload(portrait))
        await seen.until(lambda: seen.pictures)
        straight = nose(seen.pictures[-1])
        desk.change(yaw=-25.0)
        await seen.until(lambda: len(seen.pictures) == 2)
        assert nose(seen.pictures[-1]) > straight + 0.05  # yaw < 0: to the right of the picture
        desk.change(yaw=0.0)
        desk.take("clip", upload(clip))
        await seen.until(lambda: desk.clip)
        await seen.until(lambda: len(seen.pictures) == 4)
        assert "Following the face: frame 13 of 13" in seen.states
        assert any(state.startswith("Reading the motion") for state in seen.states)
        desk.change(origins={**desk.settings.origins, "translation": "source"})
        await seen.until(lambda: len(seen.pictures) == 5)
        desk.show_moment(6)  # a quarter of the swing
        await seen.until(lambda: len(seen.pictures) == 6)
        assert abs(nose(seen.pictures[-1]) - straight) > 0.05
        desk.change(origins={**desk.settings.origins, "rotation": "source"})
        await seen.until(lambda: len(seen.pictures) == 7)
        assert nose(seen.pictures[-1]) == pytest.approx(straight, abs=0.02)

    at_desk(tmp_path, work)


def test_a_picture_without_a_face_is_said_and_removed(tmp_path: Path) -> None:
    empty = write_portrait(tmp_path / "empty.png", Disc(-90, -90, 5))

    async def work(desk: Desk, seen: Seen) -> None:
        desk.take("portrait", upload(empty))
        await seen.until(lambda: desk.sides["portrait"].error)
        side = desk.sides["portrait"]
        assert side.error == "No face was found in this image."
        assert side.remedy.startswith("Use one that shows a face")
        assert not empty.exists()
        assert desk.session.files == {}

    at_desk(tmp_path, work)


def test_a_clip_that_is_replaced_while_it_is_read_is_let_go(tmp_path: Path) -> None:
    long, short = write_clip(tmp_path / "long.mp4", swinging(300)), write_clip(tmp_path / "short.mp4", swinging(5))

    async def work(desk: Desk, seen: Seen) -> None:
        desk.take("clip", upload(long))
        await seen.until(lambda: "frame" in desk.sides["clip"].state)
        desk.take("clip", upload(short))
        await seen.until(lambda: desk.clip)
        assert desk.clip is not None
        assert desk.clip.frames == 5
        assert not long.exists()
        assert desk.sides["clip"].error == ""

    at_desk(tmp_path, work)


def test_only_the_newest_waits() -> None:
    async def run() -> list[int]:
        done: list[int] = []
        gate = asyncio.Event()

        async def work(value: int) -> None:
            await gate.wait()
            done.append(value)

        latest = Latest(work)
        for value in range(5):
            latest.put(value)
            await asyncio.sleep(0)
        gate.set()
        while latest.busy:
            await asyncio.sleep(0)
        latest.put(9)
        while latest.busy:
            await asyncio.sleep(0)
        return done

    assert asyncio.run(run()) == [0, 4, 9]


# ---- recipes and jobs ---------------------------------------------------------------------------------------------------
def recipe(folder: Path, frames: int, settings: Settings | None = None, **animator: float) -> Any:
    base = pipeline(folder)
    base = attrs.evolve(base, animator=attrs.evolve(base.animator, options=animator))
    (folder / "run").mkdir()
    portrait, clip = write_portrait(folder / "a.png"), write_clip(folder / "b.mp4", swinging(frames))
    return write_recipe(folder / "run", base, "float32", settings or Settings(), upload(portrait), upload(clip))


def job_of(made: Any, folder: Path) -> Job:
    return Job(made.path, [f"output.folder={folder / 'out'}", f"cache.folder={folder / 'cache'}"], REGISTRY)


def test_a_recipe_says_just_what_was_set(tmp_path: Path) -> None:
    origins = {"rotation": "absolute", "translation": "source", "scale": "relative", "expression": "relative", "eyes": "whole", "mouth": "source"}
    settings = Settings(yaw=3.0, y=-0.1, scale=1.2, strength=1.5, origins=origins, frame="paste", mark=True)  # type: ignore[arg-type]
    made = recipe(tmp_path, 3, settings)
    plan = load_edit(made.path, [], REGISTRY)
    assert plan.motion == settings.table(with_clip=True)
    assert plan.motion.yaw.offset == 3.0
    assert plan.motion.mouth.take == "source"
    assert plan.motion.scale.offset == pytest.approx(0.2)
    assert plan.motion.expression.amount == 1.5
    assert (plan.pipeline.output.frame, plan.pipeline.output.mark, plan.pipeline.output.motion) == ("paste", True, True)
    assert (plan.pipeline.animator.name, plan.pipeline.face.detector.name, plan.pipeline.engine.precision) == ("disc", "disc", "float32")
    assert [j.source.name for j in plan.jobs] == ["a.png"]
    assert (made.portrait.name, made.clip.name) == ("a.png", "b.mp4")


def test_toml_that_is_written_reads_back() -> None:
    tables = {
        "text": 'a "b" \\ é 名 \x7f\n', "list": ["a", 1], "n": 1.5, "small": 1e-07, "on": True,
        "table": {"plain": 1, "deep": {"x y": {"z": "q"}}}, "only": {"sub": {"a": 1}},
    }  # fmt: skip
    assert tomllib.loads(toml_text(tables)) == tables


def test_names_that_clash_are_told_apart(tmp_path: Path) -> None:
    portrait, clip = write_portrait(tmp_path / "a.png"), write_clip(tmp_path / "b.mp4", swinging(2))
    same = [attrs.evolve(upload(path), name="studio.toml") for path in (portrait, clip)]
    (tmp_path / "run").mkdir()
    made = write_recipe(tmp_path / "run", pipeline(tmp_path), "float32", Settings(), same[0], same[1])
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["clip-studio.toml", "portrait-studio.toml", "studio.toml"]
    assert len(load_edit(made.path, [], REGISTRY).jobs) == 1


def test_a_job_runs_its_recipe_and_tells_where_it_is(tmp_path: Path) -> None:
    job = job_of(recipe(tmp_path, 9), tmp_path)
    job.run()
    assert (job.status, job.error) == ("done", None)
    assert probe(job.outputs[0]).frames == 9
    assert job.step is not None
    assert "frame" in progress_text(job) or "Finishing" in progress_text(job)


def test_a_cancelled_job_stops_soon_and_leaves_no_video(tmp_path: Path) -> None:
    job = job_of(recipe(tmp_path, 40, slow=0.2), tmp_path)
    thread = threading.Thread(target=job.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not (job.step and job.step.text.startswith("a.png") and job.step.count) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "Making the frames: frame" in progress_text(job)
    job.cancel()
    thread.join(10)
    assert not thread.is_alive()
    assert job.status == "cancelled"
    assert list((tmp_path / "out").glob("*.mp4")) == []


def test_a_job_that_waits_can_be_cancelled(tmp_path: Path) -> None:
    from pipelines.studio import job as module

    job = job_of(recipe(tmp_path, 2), tmp_path)
    with module._ONE_AT_A_TIME:
        thread = threading.Thread(target=job.run)
        thread.start()
        assert progress_text(job) == "Waiting for another run to end …"
        job.cancel()
        thread.join(5)
    assert job.status == "cancelled"


def test_what_fails_is_said_without_a_traceback(tmp_path: Path) -> None:
    job = job_of(recipe(tmp_path, 3, fail_at=1), tmp_path)
    job.run()
    assert job.status == "failed"
    assert job.error is not None
    assert job.error.what == "the disc broke"
    broken = Job(tmp_path / "none.toml", [], REGISTRY)
    broken.run()
    assert broken.status == "failed"
    assert broken.error is not None
    assert broken.error.kind == ConfigError.__name__


# ---- directions of the expression ---------------------------------------------------------------------------------------
def test_directions_move_the_picture_where_there_is_a_vae_and_are_none_where_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from line_vae import with_line_vae

    from pipelines.studio import worker as module

    portrait = write_portrait(tmp_path / "me.png")

    async def without(desk: Desk, seen: Seen) -> None:
        desk.take("portrait", upload(portrait))
        await seen.until(lambda: seen.pictures)
        assert desk.directions == []

    async def with_one(desk: Desk, seen: Seen) -> None:
        desk.take("portrait", upload(portrait))
        await seen.until(lambda: seen.pictures)
        assert desk.directions == [0]
        before = green(seen.pictures[-1])
        desk.change(latent={"0": 3.0})
        await seen.until(lambda: len(seen.pictures) == 2)
        assert green(seen.pictures[-1]) == pytest.approx(before + 0.3 * 255, abs=12)
        assert desk.settings.table(with_clip=False).latent == {"0": 3.0}

    at_desk(tmp_path, without)
    monkeypatch.setattr(module, "VAE", attrs.evolve(module.VAE, name="line"))
    monkeypatch.setattr("test_desk.REGISTRY", with_line_vae(disc_registry()))
    (tmp_path / "two").mkdir()
    at_desk(tmp_path / "two", with_one)


def green(jpeg: bytes) -> float:
    """The green of the disc beside its nose."""
    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    return float(image.getpixel((image.width // 2, image.height // 2 + image.height // 8))[1])  # type: ignore[index]
