"""``mmfa studio``: open the studio on this machine.

Exit codes: 0 ended by Ctrl-C, 2 bad configuration, a port that is taken, or a missing package.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import warnings
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mmfa_components.command import guarded
from mmfa_components.errors import ConfigError, reason_of
from mmfa_components.registry import load_registry
from pipelines.config.components import named_parts
from pipelines.config.load import load_pipeline
from pipelines.config.schema import Pipeline

PROG = "python -m pipelines.studio"
PORT = 7860
BASE = Path(__file__).parent / "studio.toml"


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    """Run the studio until Ctrl-C; gives the exit code."""
    os.environ.setdefault("MPLBACKEND", "agg")
    options = parser(prog).parse_args(arguments)
    say = Console(stderr=True, highlight=False, soft_wrap=True)
    return guarded(lambda: _until_stopped(options, say))


def parser(prog: str = PROG, add_help: bool = True) -> argparse.ArgumentParser:
    """The command line."""
    text = "Pose portraits and move them by clips, in your browser."
    parser = argparse.ArgumentParser(prog=prog, description=text, add_help=add_help)
    parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on, 0: any free one (default {PORT})")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; anything but this machine's own is open to the network")
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="a further name the server may be called by")
    parser.add_argument("--open", action="store_true", help="open the page in the default browser")
    parser.add_argument("--most-image-mb", type=int, default=40, metavar="MB", help="largest portrait taken (default 40)")
    parser.add_argument("--most-clip-mb", type=int, default=500, metavar="MB", help="largest clip taken (default 500)")
    parser.add_argument("--grace", type=float, default=15.0, metavar="SECONDS", help="how long the files of a closed page stay (default 15)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="as for pipelines: engine.device=cpu")
    return parser


def _until_stopped(options: argparse.Namespace, say: Console) -> int:
    try:
        return _serve(options, say)
    except KeyboardInterrupt:
        return 0


def _serve(options: argparse.Namespace, say: Console) -> int:
    try:
        import nicegui  # noqa: F401 - only to say early, and well, that it is missing
    except ImportError as error:
        raise ConfigError("the studio needs the package nicegui", fix="pip install 'mmfa[studio]'") from error
    from pipelines.studio.guard import is_loopback
    from pipelines.studio.server import Studio, listen, serve
    from pipelines.studio.uploads import MEGABYTE, Limits

    if options.most_image_mb < 1 or options.most_clip_mb < 1:
        raise ConfigError("the largest upload must be at least 1 MB", where="command line")
    registry = load_registry()
    pipeline: Pipeline = named_parts(load_pipeline(BASE, options.overrides), registry)
    motion = registry.spec("animator", pipeline.animator.name, "animator.name").motion
    if motion is None or motion.edits != "head":
        what = f"the studio turns heads, and the motion of {pipeline.animator.name!r} is not that of a head"
        raise ConfigError(what, where="animator.name", fix="choose another animator")
    if pipeline.engine.name != "in_process":
        what = f"the studio cannot work on engine {pipeline.engine.name!r}: pictures have to come at once"
        raise ConfigError(what, where="engine.name", fix='leave engine.name = "in_process"; run the recipes on other engines')
    try:
        listener = listen(options.host, options.port)
    except (OSError, OverflowError) as error:
        text = reason_of(error) if isinstance(error, OSError) else str(error)
        fix = "choose another --port (0: any free one) or --host"
        raise ConfigError(f"cannot listen there ({text})", where=f"{options.host}:{options.port}", fix=fix) from error
    name = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{name}:{listener.getsockname()[1]}/"
    if not is_loopback(options.host):
        say.print("warning: this address is open to the network, without a password: everyone who reaches it can animate faces on this machine")
    limits = Limits(options.most_image_mb * MEGABYTE, options.most_clip_mb * MEGABYTE)
    warnings.filterwarnings("ignore", module="nicegui.ui_run_with")  # it looks at every object there is, and some of torch's complain
    studio = Studio(pipeline, registry, limits, max(options.grace, 1.0))
    print(f"MMFA Studio: {address}  (Ctrl-C ends it; all uploads are removed then)", flush=True)
    if options.open:
        threading.Timer(1.0, webbrowser.open, [address]).start()
    serve(studio, listener, options.host, options.allow_host)
    with contextlib.suppress(ValueError):
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
