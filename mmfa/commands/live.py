"""``mmfa live me.jpg --camera 0``: the portrait moves as you do, frame by frame."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from mmfa_components.command import EXIT_CODES, guarded
from mmfa_components.errors import ConfigError

if TYPE_CHECKING:
    from mmfa.cameras import Camera
    from mmfa.live import Live
    from mmfa.screens import Screen

PROG = "mmfa live"
EXAMPLES = """examples:
  mmfa live me.jpg                                 camera 0, in a window
  mmfa live me.jpg --camera 1 --no-mirror --pose absolute
  mmfa live me.jpg --input clip.mp4 -o live.mp4    without camera and window
  ffmpeg ... -f rawvideo -pix_fmt rgb24 - | mmfa live me.jpg --input - --size 640x360 -o - | ...
keys in the window: n takes your pose and expression of now as the portrait's own, m mirrors,
r starts again, q ends.

Animate only faces of people who agreed to it; say that what you show is synthetic."""
MODES = ("relative", "absolute", "source")


def parser(prog: str = PROG, add_help: bool = True) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Move a portrait live, by a camera.",
        epilog=f"{EXAMPLES}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=add_help,
    )
    add = parser.add_argument
    add("portrait", metavar="PORTRAIT", help="the portrait")
    add("--camera", type=int, default=0, metavar="N", help="number of the camera (default: 0)")
    text = "a video file instead of a camera, or - for raw frames (rgb24) on standard input"
    add("--input", default="", metavar="FILE", help=text)
    add("--size", default="640x480", metavar="WxH", help="size of raw frames (default: 640x480)")
    add("--rate", type=float, default=25.0, metavar="N", help="raw frames per second (default: 25)")
    add(
        "--realtime",
        action="store_true",
        help="play --input as a camera would, late frames dropped",
    )
    text = "a video file to write, or - for raw frames (rgb24), instead of the window"
    add("-o", "--output", default="", metavar="OUT", help=text)
    text = (
        "head pose: relative to the neutral one (default), absolute, or the portrait's own (source)"
    )
    add("--pose", choices=MODES, default="relative", help=text)
    add("--expression", choices=MODES, default="relative", help="the same for the expression")
    text = "how strongly jitter is held back: 0 is off, 2 is twice as strongly (default: 1)"
    add("--steady", type=float, default=1.0, metavar="N", help=text)
    text = "whether it moves as in a mirror (default: of a camera, yes)"
    add("--mirror", action=argparse.BooleanOptionalAction, default=None, help=text)
    add("--paste", action="store_true", help="put the face back into the whole picture")
    add("--mark", action="store_true", help='write "AI-generated" into a corner of every frame')
    add("--face", type=int, metavar="N", help="which of the portrait's faces, 0 is the leftmost")
    add("--frames", type=int, default=0, metavar="N", help="end after N frames")
    add(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1 (default: a GPU if any)"
    )
    text = "change a key of the pipeline, such as face.min_score=0.3"
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=text)
    return parser


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    """Run live; gives the exit code."""
    options = parser(prog).parse_args(arguments)
    return guarded(lambda: _live(options), "ended")


def _live(options: argparse.Namespace) -> int:
    from mmfa.cameras import open_camera
    from mmfa.loading import load

    if options.rate <= 0:
        raise ConfigError(f"{options.rate} frames per second", where="--rate", fix="such as 25")
    mirror = not options.input if options.mirror is None else options.mirror
    realtime = options.realtime or not options.output
    with load(options.device, settings=options.overrides) as predictor:
        chosen = {} if options.face is None else {"face": options.face}
        portrait = predictor.portrait(options.portrait, **chosen)
        live = predictor.live(
            portrait,
            pose=options.pose,
            expression=options.expression,
            steady=options.steady,
            mirror=mirror,
            paste=options.paste,
            mark=options.mark,
        )
        screen = _screen(options, live)
        try:
            camera = open_camera(
                options.camera, options.input, options.size, options.rate, realtime
            )
            try:
                figures = _run(live, camera, screen, options.frames)
            finally:
                camera.close()
        finally:
            screen.close()
    print(figures.summary(camera.dropped), file=sys.stderr)
    return 0


def _screen(options: argparse.Namespace, live: Live) -> Screen:
    from mmfa.screens import FileScreen, RawScreen, Window

    if not options.output:
        return Window()
    if options.output == "-":
        return RawScreen(sys.stdout.buffer)
    rate = Fraction(options.rate).limit_denominator(1001)
    source = Path(options.input).name if options.input else f"camera {options.camera}"
    return FileScreen(Path(options.output).expanduser(), live.size, rate, live.notes(source))


def _run(live: Live, camera: Camera, screen: Screen, most: int) -> Figures:
    figures = Figures()
    try:
        for shot in camera.shots():
            frame = live.step(shot.rgb, shot.seconds)
            key = screen.show(frame, shot.seconds, figures.line(live.found))
            figures.add(time.monotonic() - shot.arrived)
            if key == "q" or figures.frames == most:
                break
            _press(live, key)
    except KeyboardInterrupt:  # the usual end: what was written is kept
        pass
    return figures


def _press(live: Live, key: str) -> None:
    if key == "n":
        live.neutral()
    elif key == "m":
        live.mirror = not live.mirror
        live.reset()
    elif key == "r":
        live.reset()


class Figures:
    """Frames per second and latency, shown while it runs and at the end."""

    def __init__(self) -> None:
        self.frames = 0
        self.latencies: deque[float] = deque(maxlen=10_000)
        self.ends: deque[float] = deque(maxlen=30)
        self.began = self.last = time.monotonic()

    def add(self, latency: float) -> None:
        """A frame was shown ``latency`` seconds after it could be had."""
        self.frames += 1
        self.latencies.append(latency)
        self.last = time.monotonic()
        self.ends.append(self.last)

    def line(self, found: bool) -> str:
        """How it goes, of the last frames."""
        if len(self.ends) < 2:
            return "starting"
        rate = (len(self.ends) - 1) / max(self.ends[-1] - self.ends[0], 1e-6)
        recent = statistics.median(list(self.latencies)[-30:])
        text = f"{rate:.1f} frames/s, {1000 * recent:.0f} ms behind"
        return text if found else f"{text}, no face is seen"

    def summary(self, dropped: int) -> str:
        """All of it in one line."""
        if not self.frames:
            return "no frames came"
        rate = self.frames / max(self.last - self.began, 1e-6)
        ordered = sorted(self.latencies)
        middle, high = (1000 * ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.95))
        return (
            f"{self.frames} frames, {rate:.1f} frames/s; shown {middle:.0f} ms after they came "
            f"(95 in 100 within {high:.0f} ms); {dropped} dropped"
        )
