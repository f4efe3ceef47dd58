"""From an edit file to a checked plan: every fault at once, and which results there will be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from mmfa_components.errors import MMFAError, did_you_mean
from mmfa_components.geometry.edit import FACE, FieldEdit, MotionEdit
from mmfa_components.records import HEAD, MotionKind
from mmfa_components.registry import Registry
from pipelines.config.components import motion_in_use, named_parts
from pipelines.config.faults import Faults
from pipelines.config.inputs import find_files, output_folder, safe_jobs, unique_names
from pipelines.config.load import read_pipeline
from pipelines.config.places import place
from pipelines.config.schema import Pipeline, as_tables
from pipelines.editing.latent_shift import check_vae
from pipelines.editing.schema import EditJob, EditPipeline, EditPlan
from pipelines.media import probe, suffix_of
from pipelines.runs.check import check_pipeline

SHARED = ("description", "face", "animator", "output", "provenance", "cache", "engine", "weights")
"""Tables that an edit shares with a reenactment."""


def load_edit(path: Path, overrides: Sequence[str], registry: Registry) -> EditPlan:
    """A checked plan. Raises ConfigError listing every fault."""
    faults = Faults()
    read = read_pipeline(path, overrides, EditPipeline, faults)
    pipeline = named_parts(Pipeline(**{name: getattr(read, name) for name in SHARED}), registry)
    kind = motion_in_use(check_pipeline(pipeline, registry, faults)) or HEAD
    edit = read.motion.edit(kind)
    reference = read.motion.reference
    if not (reference == "auto" or (isinstance(reference, int) and reference >= 0)):
        faults.add("motion.reference", f"expected 'auto' or a whole number from 0, got {reference!r}")
    here = path.resolve().parent
    clips = {name: place(text, here) for name, text in read.inputs.clips.items()}
    for name, file in clips.items():
        if not file.is_file():
            faults.add(f"inputs.clips.{name}", f"there is no file {str(file)!r}", "check the path")
    for name, known in read.motion.strangers(kind).items():
        faults.add(f"motion.{name}", "no such key here", did_you_mean(name, known))
    _check_motion(read, edit, kind, clips, faults)
    if read.motion.latent and not kind.feature:
        faults.add("motion.latent", "this animator's motion has no expression feature", "leave it out")
    elif read.motion.latent:
        wrong = [name for name in read.motion.latent if not name.isdecimal()]
        if wrong:
            faults.add("motion.latent", f"{wrong[0]!r} is no number of a unit", 'such as latent = {"3" = 1.5}')
        check_vae(read.vae, read.face.landmarks.name, read.weights, registry, faults)
    jobs = _jobs(read, edit, here, faults)
    faults.raise_if_any(str(path))
    return EditPlan(pipeline, tuple(jobs), path, read.motion, read.timing, clips, read.vae, edit)


def _check_motion(read: EditPipeline, edit: MotionEdit | FieldEdit, kind: MotionKind, clips: dict[str, Path], faults: Faults) -> None:
    for name, channel in edit.channels().items():
        where = f"motion.{name}"
        if channel.origin == "curve" and not channel.keys:
            faults.add(f"{where}.keys", "take is 'curve', but there is no key", f"add [[{where}.keys]] with time and value")
        if any(b.time <= a.time for a, b in zip(channel.keys, channel.keys[1:], strict=False)):
            faults.add(f"{where}.keys", "the times of the keys do not rise", "order them by time, no two at the same time")
        if channel.keys and channel.keys[0].time < 0:
            faults.add(f"{where}.keys", "a key lies before the beginning", "times are seconds from 0")
        if channel.clip and channel.clip not in clips:
            faults.add(f"{where}.clip", f"no clip is called {channel.clip!r}", did_you_mean(channel.clip, clips))
        if channel.clip and not channel.takes_clip:
            faults.add(f"{where}.clip", "names a clip, but take does not take from one", 'set take to "relative" or "absolute"')
        if channel.takes_clip and not channel.clip and not read.inputs.driving:
            fix = 'name driving clips, or a clip of [inputs.clips], or set take = "source"'
            faults.add(f"{where}.take", f"is {channel.origin!r}, but there is no driving clip", fix)
        multiplied = name in FACE if isinstance(edit, MotionEdit) else name not in kind.zeroed
        if multiplied and channel.origin in ("source", "whole") and (channel.keys or channel.amount != 1.0):
            faults.add(where, f"a multiple of {channel.origin!r} has no meaning", "amount and keys multiply what comes from a clip")


def _jobs(read: EditPipeline, edit: MotionEdit | FieldEdit, here: Path, faults: Faults) -> Sequence[EditJob]:
    inputs, output = read.inputs, read.output
    if not inputs.sources and not faults.touches("inputs", "sources"):
        faults.add("inputs.sources", "names no file", "list paths or globs of portraits or videos")
    sources = list(dict.fromkeys(find_files(inputs.sources, "inputs.sources", here, faults)))
    driving = find_files(inputs.driving, "inputs.driving", here, faults)
    folder, suffix = output_folder(output), suffix_of(output.codec)
    if not inputs.driving:
        names = unique_names([f"{s.stem}__edited" for s in sources])
        still = is_still(read, edit)
        kinds = [".png" if still and not _is_video(s) else suffix for s in sources]
        jobs = [EditJob(s, s, folder / (n + k), driven=False) for s, n, k in zip(sources, names, kinds, strict=True)]
    else:
        if inputs.pairing == "zip" and len(sources) != len(driving):
            what = f"zip pairs one with one, but there are {len(sources)} sources and {len(driving)} driving clips"
            faults.add("inputs.pairing", what, 'list as many of each, or use pairing = "product"')
            return []
        pairs = [(s, d) for s in sources for d in dict.fromkeys(driving)] if inputs.pairing == "product" else list(zip(sources, driving, strict=True))
        names = unique_names([f"{s.stem}__{d.stem.removesuffix('.motion')}" for s, d in pairs])
        jobs = [EditJob(s, d, folder / (n + suffix)) for (s, d), n in zip(pairs, names, strict=True)]
    safe_jobs(list(jobs), output, faults)
    return jobs


def is_still(read: EditPipeline, edit: MotionEdit | FieldEdit) -> bool:
    """True when nothing in the edit moves: a portrait gives a picture then."""
    taken = [read.inputs.clips.get(name, "") for name in edit.clips]
    return not (read.timing.seconds or _last_key(edit) or any(_is_video(Path(t)) for t in taken))


def _last_key(edit: MotionEdit | FieldEdit) -> float:
    return max((k.time for c in edit.channels().values() for k in c.keys), default=0.0)


def _is_video(path: Path) -> bool:
    try:
        return probe(path).kind == "video"
    except MMFAError:
        return path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def settings_of(plan: EditPlan) -> dict[str, object]:
    """Every setting of a plan as plain data."""
    shared = {k: v for k, v in as_tables(plan.pipeline).items() if k in SHARED}
    clips = {name: str(path) for name, path in plan.clips.items()}
    return {**shared, "motion": as_tables(plan.motion), "timing": attrs.asdict(plan.timing), "clips": clips}
