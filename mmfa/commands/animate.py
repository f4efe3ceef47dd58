"""``mmfa animate me.jpg clip.mp4``: the portrait moves as the person in the clip."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import attrs

from mmfa.commands.results import named, output_settings, quoted, setting, side_setting
from mmfa_components.command import EXIT_CODES, guarded
from mmfa_components.errors import ConfigError, MMFAError
from pipelines.config.schema import Plan
from pipelines.run import GO_ON, add_run_options, carry_out

P = TypeVar("P", bound=Plan)

PROG = "mmfa animate"
EXAMPLES = """examples:
  mmfa animate me.jpg clip.mp4                      writes outputs/me__clip.mp4
  mmfa animate me.jpg clip.mp4 -o me.mp4 --paste    the face put back into the whole picture
  mmfa animate -s faces/*.jpg -d a.mp4 b.mp4 -o results/    every portrait with every clip
  mmfa animate me.jpg clip.mp4 --pose source        only the expression of the clip
  mmfa animate me.jpg smile.jpg                     a picture with pose and expression of another: outputs/me__smile.png"""
POSE = ("rotation", "translation", "scale")


def parser(prog: str = PROG, add_help: bool = True) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=f"{prog} SOURCE DRIVING [-o OUT] [options]",
        description="Move a portrait (or a video of a person) by a driving video.",
        epilog=f"{EXAMPLES}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=add_help,
    )
    parser.add_argument("inputs", nargs="*", metavar="SOURCE DRIVING", help="a portrait, then a driving video, motion file or picture")
    parser.add_argument("-s", "--source", nargs="+", default=[], metavar="FILE", help="portraits or videos, instead of SOURCE")
    parser.add_argument("-d", "--driving", nargs="+", default=[], metavar="FILE", help="driving files, instead of DRIVING")
    out_help = "file (.mp4, .mov, .mkv, .webm, .gif, .webp; .png for a picture) or folder (default: outputs)"
    parser.add_argument("-o", "--output", default="", metavar="OUT", help=out_help)
    side_help = 'pixels of a side of the face\'s square, such as 512, or "source": as many as the portrait has'
    parser.add_argument("--side", metavar="N", help=side_help)
    parser.add_argument("--paste", action="store_true", help="put the face back into the whole picture (default: the square around it)")
    modes = ("relative", "absolute", "source")
    pose_help = "head pose: relative to the portrait's own (default), absolute as in the clip, or the source's own, unchanged"
    parser.add_argument("--pose", choices=modes, help=pose_help)
    parser.add_argument("--expression", choices=modes, help="the same for the expression (default: relative)")
    parser.add_argument("--face", type=int, metavar="N", help="which of several faces, 0 is the leftmost (default: the largest)")
    parser.add_argument("--smooth", type=float, metavar="SECONDS", help="steady the head over this time, such as 0.2")
    parser.add_argument("--mark", action="store_true", help='write "AI-generated" into a corner of every frame')
    parser.add_argument("--sheet", action="store_true", help="also draw an overview picture, contact_sheet.png")
    parser.add_argument("--overwrite", action="store_true", help="make results again even when nothing has changed")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 (default: a GPU where there is one)")
    add_run_options(parser)
    return parser


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    """Animate; gives the exit code."""
    options = parser(prog).parse_args(arguments)
    return guarded(lambda: _animate(options), GO_ON, unread=0 if options.dry_run else 1)


def _animate(options: argparse.Namespace) -> int:
    sources, driving = inputs_of(options)

    from mmfa_components.registry import load_registry
    from pipelines.catalogue import SHIPPED
    from pipelines.kinds import kind_of

    pictures = _pictures(driving)
    settings = settings_of(options, sources, driving, pictures)
    base = SHIPPED / ("edit.toml" if pictures else "batch_reenact.toml")
    kind, registry = kind_of(base, settings), load_registry()
    plan = kind.load(base, settings, registry)
    if pictures:
        plan = posed_like(plan, driving[0])
    return carry_out(kind, named(plan, options.output), registry, options)


def _pictures(driving: Sequence[str]) -> bool:
    """Whether a picture drives. Raises ConfigError when there are others beside it."""
    from pipelines.config.places import local
    from pipelines.media import probe

    found = []
    for text in driving:
        path = Path(local(text)).expanduser()
        try:
            found.append(path.is_file() and probe(path).kind == "image")
        except MMFAError:  # told where it is used
            found.append(False)
    if any(found) and len(driving) > 1:
        fix = "drive with one picture at a time"
        raise ConfigError("a picture drives alone, without other driving files", where=driving[found.index(True)], fix=fix)
    return any(found)


def posed_like(plan: P, driving: str) -> P:
    """The plan of an edit with results named as those of a clip are: SOURCE__DRIVING."""
    stem = Path(driving).stem
    jobs = [attrs.evolve(job, output=job.output.with_name(f"{job.source.stem}__{stem}{job.output.suffix}")) for job in plan.jobs]
    return attrs.evolve(plan, jobs=tuple(jobs))


def settings_of(options: argparse.Namespace, sources: Sequence[str], driving: Sequence[str], pictures: bool = False) -> list[str]:
    """The options as settings of a pipeline, those of ``--set`` last. pictures: of kind "edit", with a picture as driving file."""
    settings = [setting("description", ""), setting("inputs.sources", quoted(sources)), *output_settings(options.output)]
    settings.append(setting("output.contact_sheet", "contact_sheet.png" if options.sheet else ""))
    modes = {**dict.fromkeys(POSE, options.pose), "expression": options.expression}
    if pictures:
        settings += _like_a_picture(quoted(driving)[0], modes)
    else:
        settings.append(setting("inputs.driving", quoted(driving)))
        settings += [f"transfer.{name}={mode}" for name, mode in modes.items() if mode]
    if options.paste:
        settings.append("output.frame=paste")
    settings += side_setting(options.side)
    for key, value in (
        ("face.select", options.face),
        ("face.smooth", options.smooth),
        ("engine.device", options.device),
    ):
        if value is not None:
            settings.append(setting(key, value))
    settings += [f"output.{name}=true" for name in ("mark", "overwrite") if getattr(options, name)]
    return [*settings, *options.overrides]


def _like_a_picture(picture: str, modes: Mapping[str, str | None]) -> list[str]:
    """Settings of kind "edit": rotation and expression of a picture as they are there, place and size of the source.

    A picture has no neutral frame, so nothing can be relative to one.
    """
    settings = ["inputs.driving=[]", "inputs.clips={}", "motion.yaw.keys=[]", setting("inputs.clips.driving", picture)]
    for name in ("rotation", "expression", "translation", "scale"):
        taken = modes[name] == "absolute" or (name in ("rotation", "expression") and modes[name] != "source")
        settings += [f"motion.{name}.take=absolute", f"motion.{name}.clip=driving"] if taken else [f"motion.{name}.take=source"]
    return settings


def inputs_of(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Sources and driving files; what -s and -d leave open is taken from the arguments, in that order.

    Raises ConfigError when one is missing or too many are given.
    """
    sources, driving, rest = list(options.source), list(options.driving), list(options.inputs)
    if not sources and rest:
        sources = [rest.pop(0)]
    if not driving and rest:
        driving = [rest.pop(0)]
    if rest:
        fix = "name several as: mmfa animate -s A.jpg B.jpg -d clip.mp4"
        raise ConfigError(f"one portrait and one clip are taken, {rest[0]!r} is more", where="command line", fix=fix)
    missing = [name for name, given in (("portrait", sources), ("driving video", driving)) if not given]
    if missing:
        fix = "mmfa animate me.jpg clip.mp4; the demo is: mmfa run batch_reenact"
        raise ConfigError(f"no {' and no '.join(missing)} is named", where="command line", fix=fix)
    return sources, driving
