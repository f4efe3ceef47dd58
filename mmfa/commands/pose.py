"""``mmfa pose me.jpg --yaw 20``: a portrait with the head turned, moved, or with another picture's expression."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmfa.commands.results import named, output_settings, quoted, setting, side_setting
from mmfa_components.command import EXIT_CODES, guarded
from pipelines.run import GO_ON, add_run_options, carry_out

PROG = "mmfa pose"
EXAMPLES = """examples:
  mmfa pose me.jpg --yaw 20                      writes outputs/me__edited.png
  mmfa pose me.jpg --pitch -10 --roll 5 -o posed.png --paste
  mmfa pose me.jpg --expression laughing.jpg --amount 0.7
mmfa run edit does more: keyframes, videos, each attribute from another clip (docs/motion.md)."""
NUMBERS = {
    "yaw": "degrees; + turns the nose to the LEFT of the picture",
    "pitch": "degrees; + looks UP",
    "roll": "degrees; + tilts CLOCKWISE",
    "x": "half sides of the crop; + is RIGHT",
    "y": "half sides of the crop; + is DOWN",
    "scale": "share; 0.1 is a tenth larger",
}


def parser(prog: str = PROG, add_help: bool = True) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Turn the head of a portrait by hand.",
        epilog=f"{EXAMPLES}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=add_help,
    )
    parser.add_argument("portrait", nargs="+", metavar="PORTRAIT", help="portraits, or videos of a person")
    parser.add_argument("-o", "--output", default="", metavar="OUT", help="file (.png, .jpg) or folder (default: outputs)")
    for name, text in NUMBERS.items():
        parser.add_argument(f"--{name}", type=float, default=0.0, metavar="N", help=f"added to the portrait's own: {text}")
    parser.add_argument("--expression", default="", metavar="FILE", help="take the expression of this picture or video")
    parser.add_argument("--amount", type=float, default=1.0, metavar="N", help="how strongly, 1 is as it is there (default)")
    side_help = 'pixels of a side of the face\'s square, such as 512, or "source": as many as the portrait has'
    parser.add_argument("--side", metavar="N", help=side_help)
    parser.add_argument("--paste", action="store_true", help="put the face back into the whole picture (default: the square around it)")
    parser.add_argument("--face", type=int, metavar="N", help="which of several faces, 0 is the leftmost (default: the largest)")
    parser.add_argument("--mark", action="store_true", help='write "AI-generated" into a corner')
    parser.add_argument("--overwrite", action="store_true", help="make results again even when nothing has changed")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 (default: a GPU where there is one)")
    add_run_options(parser)
    return parser


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    """Pose; gives the exit code."""
    options = parser(prog).parse_args(arguments)
    return guarded(lambda: _pose(options), GO_ON, unread=0 if options.dry_run else 1)


def _pose(options: argparse.Namespace) -> int:
    from mmfa_components.registry import load_registry
    from pipelines.catalogue import SHIPPED
    from pipelines.kinds import kind_of

    base, settings = SHIPPED / "edit.toml", settings_of(options)
    kind, registry = kind_of(base, settings), load_registry()
    plan = named(kind.load(base, settings, registry), options.output)
    return carry_out(kind, plan, registry, options)


def settings_of(options: argparse.Namespace) -> list[str]:
    """The options as settings of kind "edit", those of ``--set`` last."""
    settings = [
        setting("description", ""), setting("inputs.sources", quoted(options.portrait)), "inputs.driving=[]", "inputs.clips={}",
        "motion.yaw.keys=[]", *output_settings(options.output), 'output.contact_sheet=""',
    ]  # fmt: skip
    settings += [setting(f"motion.{name}.offset", getattr(options, name)) for name in NUMBERS]
    if options.expression:
        settings += [
            setting("inputs.clips.expression", quoted([options.expression])[0]),
            "motion.expression.take=absolute", "motion.expression.clip=expression", setting("motion.expression.amount", options.amount),
        ]  # fmt: skip
    if options.paste:
        settings.append("output.frame=paste")
    settings += side_setting(options.side)
    for key, value in (("face.select", options.face), ("engine.device", options.device)):
        if value is not None:
            settings.append(setting(key, value))
    settings += [f"output.{name}=true" for name in ("mark", "overwrite") if getattr(options, name)]
    return [*settings, *options.overrides]
