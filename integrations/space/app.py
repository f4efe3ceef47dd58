"""A Gradio page on MMFA's Python API, for a Space or your own machine: ``python app.py``."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

import mmfa

NOTE = (
    "Animate only faces of people who agreed to it, and say that the results are synthetic. "
    "Every result is marked in its corner."
)
MODES = ("relative", "absolute", "source")
MOST_SECONDS = 20


@cache
def predictor() -> mmfa.Predictor:
    """The animator, loaded at its first use; nothing of what visitors send is kept in a cache."""
    return mmfa.load(settings=["cache.mode=off"])


def pose(picture: Any, yaw: float, pitch: float, roll: float, paste: bool) -> tuple[Any, str]:
    """A portrait (H, W, 3) uint8 with the head turned, and what there is to say about it."""
    if picture is None:
        raise mmfa.MMFAError("there is no portrait", fix="give one on the left")
    return told(
        lambda: predictor().pose(
            predictor().portrait(picture), yaw=yaw, pitch=pitch, roll=roll, paste=paste, mark=True
        )
    )


def animate(picture: Any, clip: str | None, head: str, face: str, paste: bool) -> tuple[str, str]:
    """The path of a video of the portrait moved by a clip, and what there is to say about it.

    head, face: where pose and expression come from, of MODES.
    """
    if picture is None or not clip:
        fix = "give both on the left"
        raise mmfa.MMFAError("a portrait and a clip are needed", fix=fix)
    from pipelines.media import probe

    seconds = probe(Path(clip)).duration
    if seconds is not None and seconds > MOST_SECONDS:
        what = f"the clip lasts {float(seconds):.0f} seconds"
        raise mmfa.MMFAError(what, fix=f"give one of {MOST_SECONDS} seconds at most")
    folder = Path(tempfile.mkdtemp(prefix="mmfa-space-"))

    def work() -> str:
        me = predictor().portrait(picture)
        out = folder / "animated.mp4"
        made = predictor().animate(
            me, clip, out=out, pose=head, expression=face, paste=paste, mark=True
        )
        return str(made)

    return told(work)


def told(work: Callable[[], Any]) -> tuple[Any, str]:
    """What ``work`` gives, and its warnings as text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", mmfa.MMFAWarning)
        made = work()
    return made, "\n".join(str(one.message) for one in caught if one.category is mmfa.MMFAWarning)


def page() -> Any:
    """The page. Raises ImportError where gradio is not installed."""
    import gradio as gr

    def shown(work: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(work)
        def guarded(*given: Any) -> Any:
            try:
                return work(*given)
            except mmfa.MMFAError as error:
                raise gr.Error(str(error), print_exception=False) from error

        return guarded

    with gr.Blocks(title="MMFA") as blocks:
        gr.Markdown(f"# MMFA: portraits moved by clips\n{NOTE}")
        with gr.Row():
            with gr.Column():
                picture = gr.Image(label="Portrait", type="numpy")
                paste = gr.Checkbox(label="Put back into the whole picture")
                with gr.Tab("Animate"):
                    clip = gr.Video(label="Driving clip")
                    head = gr.Dropdown(MODES, value=MODES[0], label="Head pose")
                    face = gr.Dropdown(MODES, value=MODES[0], label="Expression")
                    run = gr.Button("Make the video", variant="primary")
                with gr.Tab("Pose"):
                    yaw = gr.Slider(-30, 30, 0, label="Yaw, + turns the nose to the left")
                    pitch = gr.Slider(-25, 25, 0, label="Pitch, + looks up")
                    roll = gr.Slider(-30, 30, 0, label="Roll, + tilts clockwise")
                    turn = gr.Button("Make the picture", variant="primary")
            with gr.Column():
                video = gr.Video(label="Video")
                still = gr.Image(label="Picture")
                note = gr.Textbox(label="Notes", interactive=False)
        together = {"concurrency_limit": 1, "concurrency_id": "mmfa"}  # one animator for all
        run.click(shown(animate), [picture, clip, head, face, paste], [video, note], **together)
        turn.click(shown(pose), [picture, yaw, pitch, roll, paste], [still, note], **together)
    return blocks


if __name__ == "__main__":
    page().queue().launch()
