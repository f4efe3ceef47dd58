"""Checks for plugin authors: what the rest of the system expects of an animator, as one call in a test.

``pipelines.testing.check_runs`` goes on where this ends: batch, cache, motion file, engines.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from mmfa_components.errors import MMFAError
from mmfa_components.geometry.transfer import Mode, transfer_motion
from mmfa_components.kinds import Animator, ComponentSpec, Context, OwnTransfer, ViewAnimator
from mmfa_components.records import Frames, Landmarks, MotionKind, Record, View

CLOSE = 1e-3
"""Largest difference of records between a batch and its rows, relative to their size; images may differ by twice that."""


class ConformanceError(MMFAError):
    """An animator does not do what the rest of the system expects; its text names every fault."""


def check_animator(
    spec: ComponentSpec,
    context: Context,
    crops: Frames | None = None,
    landmarks: Landmarks | None = None,
    options: Any = None,
    least_psnr: float = 0.0,
) -> None:
    """Check an animator, built with ``options`` or its default ones.

    Shapes, devices and ranges; that a batch gives what its rows give and nothing is random; that its records can travel
    between processes; that an unmoved portrait comes back and a moved one moves; that a still clip leaves the source as it is.

    Args:
        spec: of the animator; its ``motion`` says what its motion is.
        context: what it is built with, such as ``load_registry().context()``.
        crops: (N, 3, S, S) faces, N >= 2, as it will see them; by default smooth random pictures.
        landmarks: theirs in pixels of the crops; by default 478 points spread over an ellipse.
        options: an instance of its options class.
        least_psnr: dB that an unmoved portrait must reach against its crop; 0 for networks that are not trained.

    Raises:
        ConformanceError: listing everything that is wrong.
    """
    place = f"animator {spec.name!r}"
    if spec.motion is None:
        fix = "give its ComponentSpec a MotionKind as motion"
        raise ConformanceError("does not say what its motion is", where=place, fix=fix)
    animator: Animator = spec.factory(spec.options() if options is None else options, context)
    size = int(animator.crop_size)
    crops = crops or sample_crops(2, size)
    landmarks = landmarks or sample_landmarks(crops)
    if len(crops) < 2 or len(crops) != len(landmarks):
        raise ConformanceError("two crops or more, each with its landmarks, are needed", where="check_animator")
    crops, landmarks = crops.to(context.device), landmarks.to(context.device)
    with torch.inference_mode():
        faults = list(_faults(animator, spec.motion, crops, landmarks, least_psnr))
    if faults:
        raise ConformanceError("\n  ".join(["does not conform:", *faults]), where=place, fix="see docs/add_an_animator.md")


def sample_crops(count: int, size: int) -> Frames:
    """Smooth random pictures (count, 3, size, size) in [0, 1], always the same."""
    coarse = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    return Frames(torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic", align_corners=False).clamp(0, 1))


def sample_landmarks(crops: Frames) -> Landmarks:
    """478 points for each crop, spread over an ellipse in its middle, a little farther to the right from crop to crop."""
    count, size = len(crops), crops.rgb.shape[-1]
    index = torch.arange(478)
    radius, angle = ((index + 0.5) / 478).sqrt(), index * 2.399963  # a sunflower's spiral
    face = torch.stack([0.22 * radius * angle.cos(), 0.29 * radius * angle.sin(), -0.1 * (1 - radius**2)], -1)
    middle = torch.tensor([0.5, 0.52, 0.0]) + torch.arange(count)[:, None, None] * torch.tensor([0.02, 0.0, 0.0])
    return Landmarks((face + middle) * size, torch.ones(count))


def _faults(animator: Animator, kind: MotionKind, crops: Frames, landmarks: Landmarks, least_psnr: float) -> Iterator[str]:
    """Everything that is wrong, in words; what builds on a fault is not looked at."""
    made: dict[str, Record] = {}
    steps: tuple[tuple[str, Callable[..., Any], type[Record]], ...] = (
        ("decompose", animator.decompose, kind.record),
        ("encode", animator.encode, Record),
    )
    for name, call, wanted in steps:
        given = call(crops, landmarks)
        if not isinstance(given, wanted):
            yield f"{name} gives a {type(given).__name__}, not a {wanted.__name__}"
            return
        if not type(given).framewise() or len(given) != len(crops):
            yield f"{name} of {len(crops)} crops gives a record without a row for each"
            return
        yield from _plain_data(name, given, crops)
        rows = [call(crops[i : i + 1], landmarks[i : i + 1]) for i in range(len(crops))]
        yield from _alike(name, rows, given)
        made[name] = given
    motion, identity = made["decompose"], made["encode"]
    yield from _rendering(animator, identity, motion, crops, least_psnr)
    still = type(motion).concatenate([motion[1:2]] * 3)
    moved = _transfer(animator, kind, motion[:1], still, motion[1:2])
    if not all(_close(a, b.expand_as(a)) for a, b in zip(moved.tensors().values(), motion[:1].tensors().values(), strict=True)):
        yield "the relative transfer of a clip that stands still changes the source"


def _views(animator: ViewAnimator, identity: Record, own: Record, motion: Record, crops: Frames) -> Iterator[str]:
    """Of results with the portrait's own pixels: their side, and that what is held still is the portrait."""
    side = animator.largest_side
    picture = torch.nn.functional.interpolate(crops.rgb[:1], size=(side, side), mode="bicubic").clamp(0, 1)
    for still in (picture.new_zeros(1, 0, 1, 1), picture.new_ones(1, 2, 4, 4)):
        shown = animator.render_view(identity, own, motion, View(picture, still))
        if tuple(shown.rgb.shape) != (len(motion), 3, side, side):
            yield f"render_view at its largest side {side} gives {tuple(shown.rgb.shape)}"
            return
        if bool((shown.still.amin() < still.amin() - CLOSE) if still.numel() else (shown.still.amax() > CLOSE)):
            yield "render_view does not hold still what the view says, or holds still what it does not"
    if float((shown.rgb - picture).abs().max()) > 0.02:
        yield "render_view of a portrait that is held still is not that portrait"


def _rendering(animator: Animator, identity: Record, motion: Record, crops: Frames, least_psnr: float) -> Iterator[str]:
    size = crops.rgb.shape[-1]
    one, own = identity[:1], motion[:1]
    shown = animator.render(one, own, motion)
    if not isinstance(shown, Frames) or tuple(shown.rgb.shape) != (len(motion), 3, size, size):
        got = tuple(shown.rgb.shape) if isinstance(shown, Frames) else type(shown).__name__
        yield f"render of {len(motion)} motions gives {got}, not Frames ({len(motion)}, 3, {size}, {size})"
        return
    if shown.device != motion.device:
        yield f"render gives frames on {shown.device}, its motion is on {motion.device}"
    if not bool(torch.isfinite(shown.rgb).all()) or float(shown.rgb.min()) < 0 or float(shown.rgb.max()) > 1:
        yield "render gives values outside of [0, 1]"
    yield from _alike("render", [animator.render(one, own, row) for row in motion.spans(1)], shown)
    each = animator.render(identity, motion, motion)
    rows = [animator.render(i, m, m) for i, m in zip(identity.spans(1), motion.spans(1), strict=True)]
    yield from _alike("render of several identities", rows, each)
    if torch.equal(shown.rgb[0], shown.rgb[1]):
        yield "render shows the same picture whatever the driving motion"
    error = (each.rgb - crops.rgb.to(each.rgb)).square().mean(dim=(1, 2, 3)).clamp_min(1e-12)
    psnr = float(-10 * error.log10().max())
    if psnr < least_psnr:
        yield f"an unmoved portrait comes back with {psnr:.1f} dB, {least_psnr:g} are wanted"
    if isinstance(animator, ViewAnimator) and animator.largest_side:
        yield from _views(animator, one, own, motion, crops)


def _plain_data(name: str, record: Record, crops: Frames) -> Iterator[str]:
    if record.device != crops.device:
        yield f"{name} gives a record on {record.device}, the crops are on {crops.device}"
    if not all(bool(torch.isfinite(t).all()) for t in record.tensors().values() if t.is_floating_point()):
        yield f"{name} gives values that are no finite numbers"
    again = pickle.loads(pickle.dumps(record.to("cpu")))
    if type(again) is not type(record):
        yield f"the record of {name} does not survive the way to another process"


def _alike(name: str, rows: Sequence[Record], whole: Record) -> Iterator[str]:
    """Rows made alone are those of the batch, and a second call gives the same."""
    share = 2 * CLOSE if isinstance(whole, Frames) else CLOSE
    for index, row in enumerate(rows):
        for field, value in row.tensors().items():
            if not _close(value, getattr(whole, field)[index : index + 1], share):
                yield f"{name}: {field} of crop {index} alone is not that of the batch"
                return


def _close(value: torch.Tensor, wanted: torch.Tensor, share: float = CLOSE) -> bool:
    if value.shape != wanted.shape:
        return False
    if not value.is_floating_point():
        return torch.equal(value, wanted)
    return not value.numel() or float((value - wanted).abs().max()) <= share * max(1.0, float(wanted.abs().max()))


def _transfer(animator: Animator, kind: MotionKind, source: Record, driving: Record, reference: Record) -> Record:
    if isinstance(animator, OwnTransfer):
        return animator.transfer(source, driving, reference, {name: Mode() for name in kind.fields})
    return transfer_motion(source, driving, reference, zeroed=kind.zeroed)
