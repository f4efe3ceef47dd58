"""A portrait moved live, on the disc system: neutral pose, lost faces, mirror, a head that travels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from disc_face import Disc, disc_registry, draw
from disc_media import disc_plan

import mmfa
from mmfa_components import records as r
from mmfa_components.errors import ConfigError, MediaError


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mmfa.Predictor]:
    plan = disc_plan(tmp_path_factory.mktemp("live"), [], [])
    with mmfa.Predictor(plan.pipeline, disc_registry()) as made:
        yield made


@pytest.fixture(scope="module")
def me(predictor: mmfa.Predictor) -> mmfa.Portrait:
    return predictor.portrait(draw([Disc(70, 60, 22, yaw=0.2, tint=0.3)], 160, 120).numpy())


def frame(yaw: float = 0.0, x: float = 80, radius: float = 24, smile: float = 0.5) -> Any:
    return draw([Disc(x, 60, radius, float(np.deg2rad(yaw)), smile, 0.8)], 160, 120).numpy()


def seen(picture: Any) -> r.Motion:
    """The motion of a frame that came out."""
    registry = disc_registry()
    animator = registry.build("animator", "disc", {}, registry.context())
    crop = r.Frames(torch.from_numpy(np.array(picture))[None].permute(0, 3, 1, 2).float() / 255)
    motion: r.Motion = animator.decompose(crop, r.Landmarks(torch.zeros(1, 8, 3), torch.ones(1)))
    return motion


def yaw_of(picture: Any) -> float:
    return float(torch.rad2deg(torch.asin(-seen(picture).rotation[0, 0, 2])))


def alike(one: Any, other: Any) -> bool:
    """Equal but for the rounding of motion that is carried there and back."""
    return bool(np.abs(one.astype(int) - other.astype(int)).max() <= 2)


def run(live: mmfa.Live, frames: Sequence[Any]) -> list[Any]:
    return [live.step(one, seconds=number / 25) for number, one in enumerate(frames)]


def test_the_first_frame_is_neutral_until_another_is(
    predictor: mmfa.Predictor, me: mmfa.Portrait
) -> None:
    live = predictor.live(me, steady=0)
    rest, own = predictor.pose(me), me.angles[0]
    first, second = run(live, [frame(10), frame(25)])
    assert alike(first, rest)
    assert yaw_of(second) == pytest.approx(own + 15, abs=3)
    live.neutral()
    assert alike(live.step(frame(25), 0.1), rest)
    assert yaw_of(live.step(frame(10), 0.2)) == pytest.approx(own - 15, abs=3)
    live.reset()
    assert alike(live.step(frame(-20), 0.3), rest)


def test_it_is_what_animate_makes_of_a_face_that_stays_in_place(
    predictor: mmfa.Predictor, me: mmfa.Portrait
) -> None:
    frames = [frame(yaw, smile=0.4 + yaw / 100) for yaw in (0, 4, 8, 12, 16)]
    whole = list(predictor.animate(me, frames, reference=0))
    lived = run(predictor.live(me, steady=0), frames)
    for one, other in zip(whole, lived, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).mean() < 2


def test_absolute_and_source(predictor: mmfa.Predictor, me: mmfa.Portrait) -> None:
    live = predictor.live(me, pose="absolute", expression="source", steady=0)
    shown = live.step(frame(-15, smile=0.9), 0.0)
    assert yaw_of(shown) == pytest.approx(-15, abs=3)
    own = seen(predictor.pose(me)).expression
    assert float((seen(shown).expression - own).abs().max()) < 0.02
    with pytest.raises(ConfigError, match="did you mean 'source'"):
        predictor.live(me, expression="sourc")  # type: ignore[arg-type]


def test_a_lost_face_is_held_and_found_again(predictor: mmfa.Predictor, me: mmfa.Portrait) -> None:
    live = predictor.live(me, steady=0)
    nothing = draw([], 160, 120).numpy()
    before = live.step(nothing, 0.0)
    assert not live.found
    assert np.array_equal(before, predictor.pose(me))
    live.neutral()  # there is nothing to take yet
    live.step(frame(0), 0.04)
    turned = live.step(frame(15), 0.08)
    assert live.found
    for number in range(12):
        assert np.array_equal(live.step(nothing, 0.12 + number / 25), turned)
        assert not live.found
    back = live.step(frame(15), 1.0)
    assert live.found
    assert np.array_equal(back, turned)


def test_a_mirror(predictor: mmfa.Predictor, me: mmfa.Portrait) -> None:
    frames = [frame(0), frame(12)]
    plain, mirrored = (
        run(predictor.live(me, steady=0, mirror=m), frames)[1] for m in (False, True)
    )
    own = me.angles[0]
    assert yaw_of(plain) - own == pytest.approx(own - yaw_of(mirrored), abs=2)
    assert yaw_of(plain) > own + 8


def test_a_head_that_travels_keeps_its_pose(predictor: mmfa.Predictor, me: mmfa.Portrait) -> None:
    """Out of the square of the first frame, and nearer to the camera: the square goes along, the motion is told in its units."""
    live = predictor.live(me, steady=0)
    run(live, [frame(0, x=60)])
    places = [float(seen(live.step(frame(0, x=x), x)).translation[0, 0]) for x in (64, 68, 72, 76)]
    steps = np.diff(places)
    assert (steps > 0.5 * steps.max()).all()  # no jump, no halt
    live.reset()
    run(live, [frame(0, radius=16)])
    sizes = [float(seen(live.step(frame(0, radius=q), q)).scale[0]) for q in (18, 20, 22)]
    grown = np.diff(np.log(sizes))
    assert (grown > 0.05).all()
    assert (grown < 0.2).all()


def test_steady_by_default(predictor: mmfa.Predictor, me: mmfa.Portrait) -> None:
    jitter = np.random.default_rng(1).normal(0, 1.5, 40)
    frames = [frame(0), *[frame(5 + j) for j in jitter]]
    shaky, calm = (
        np.std([yaw_of(one) for one in run(predictor.live(me, steady=s), frames)][15:])
        for s in (0.0, 1.0)
    )
    assert calm < 0.7 * shaky


def test_sizes_paste_and_no_picture(predictor: mmfa.Predictor, me: mmfa.Portrait) -> None:
    live = predictor.live(me, paste=True, mark=True)
    assert live.size == (160, 120)
    assert live.step(frame(0), 0.0).shape == (120, 160, 3)
    assert set(live.seconds) >= {"follow", "render"}
    with pytest.raises(MediaError, match="dtype float64"):
        live.step(np.zeros((10, 10, 3)))
