"""Stage render: identity and motion to the frames of the result."""

from __future__ import annotations

from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import ConfigError
from mmfa_components.kinds import Animator, NeutralAnimator, RegionalAnimator
from mmfa_components.records import Frames, KeypointRegions, Motion, Record, RegionalMotion
from pipelines.stages.crop import crop_frames
from pipelines.stages.frames import to_bytes
from pipelines.stages.worker import Stopwatch, Worker


@attrs.frozen(eq=False)
class SourceFrames:
    """Frames of a video used as source.

    rows: the frame of the video that each frame of the unit is made of; they rise or repeat.  squares: (n, 4), what each is cropped
    by.  pts: timestamp of the first one, if known, to find it fast.
    """

    path: Path
    rows: tuple[int, ...]
    squares: Tensor
    pts: int | None = None


@attrs.frozen(eq=False)
class RenderUnit:
    """A span of one (source, driving) pair.

    start: first frame.  driving: motion of the result, one row a frame.  source: the source's own motion, N = 1 or one row a frame.
    identity: the portrait's, or the frames of a video to encode as it goes.  regions: of the source's keypoints, for a driving
    RegionalMotion; without them, and with animators that know no regions, the whole face moves by ``driving.expression``.
    neutral: show the canonical face in the pose of ``driving``.
    """

    start: int
    driving: Motion
    source: Motion
    identity: Record | SourceFrames
    regions: KeypointRegions | None = None
    neutral: bool = False


@attrs.frozen(eq=False)
class RenderedSpan:
    """Crops of the result, (n, S, S, 3) uint8."""

    rgb: Tensor
    seconds: dict[str, float] = attrs.field(factory=dict)


def render_span(worker: Worker, unit: RenderUnit) -> RenderedSpan:
    """Render one span in batches. Raises MediaError when frames of a source video cannot be read."""
    animator, watch, parts = worker.animator, Stopwatch(), []
    still = None if isinstance(unit.identity, SourceFrames) else unit.identity.to(worker.device)
    regions = None if unit.regions is None else unit.regions.to(worker.device)
    for first in range(0, len(unit.driving), worker.batch):
        driving = unit.driving[first : first + worker.batch].to(worker.device)
        source = unit.source if len(unit.source) == 1 else unit.source[first : first + worker.batch]
        identity = still
        if isinstance(unit.identity, SourceFrames):
            here = slice(first, first + len(driving))
            with watch.stage("decode"):
                pts = unit.identity.pts if first == 0 else None
                rgb = worker.frames.pick(unit.identity.path, unit.identity.rows[here], pts)
            with watch.stage("encode"):
                squares = unit.identity.squares[here]
                identity = animator.encode(crop_frames(rgb, squares, animator.crop_size, worker.device, fill=True))
        with watch.stage("render"):
            own = source.to(worker.device)
            frames = (
                render_canonical(animator, identity, own, driving) if unit.neutral else render_motion(animator, identity, own, driving, regions)
            )
            parts.append(to_bytes(frames.rgb))
        worker.done(len(driving))
    return RenderedSpan(torch.cat(parts), watch.seconds)


def render_motion(animator: Animator, identity: object, source: Motion, driving: Motion, regions: KeypointRegions | None) -> Frames:
    """Frames of an identity: by region where driving motion, regions and animator allow it, else with one expression for the whole face."""
    if isinstance(driving, RegionalMotion) and regions is not None and isinstance(animator, RegionalAnimator):
        return animator.render_regions(identity, source, driving, regions)
    return animator.render(identity, source, driving)


def render_canonical(animator: Animator, identity: object, source: Motion, driving: Motion) -> Frames:
    """The canonical face in a pose. Raises ConfigError when the animator has none."""
    if not isinstance(animator, NeutralAnimator):
        raise ConfigError("this animator has no canonical face", where="animator.name", fix='use the animator "mmfa"')
    return animator.render_neutral(identity, source, driving)

