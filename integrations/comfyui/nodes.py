"""ComfyUI nodes on the Python API. An IMAGE is (B, H, W, 3) float in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

import mmfa

CATEGORY = "MMFA"
PREDICTOR = "MMFA_PREDICTOR"
MODES = ["relative", "absolute", "source"]
Inputs = dict[str, dict[str, Any]]


def number(
    default: float, low: float, high: float, step: float, tip: str
) -> tuple[str, dict[str, Any]]:
    """A FLOAT input."""
    facts = {"default": default, "min": low, "max": high, "step": step, "tooltip": tip}
    return "FLOAT", facts


def switch(tip: str) -> tuple[str, dict[str, Any]]:
    """A BOOLEAN input that is off."""
    return "BOOLEAN", {"default": False, "tooltip": tip}


PASTE = switch("put the face back into the whole picture (off: the square around it)")
MARK = switch('write "AI-generated" into a corner')


class LoadMMFA:
    """Loads an animator; connect it to the other nodes."""

    CATEGORY, FUNCTION = CATEGORY, "load"
    RETURN_TYPES: ClassVar = (PREDICTOR,)
    RETURN_NAMES: ClassVar = ("mmfa",)
    DESCRIPTION = "Loads MMFA's networks."

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802 - ComfyUI's name
        """See ComfyUI."""
        device = (["auto", "cpu", "cuda"], {"tooltip": "auto: a GPU where there is one"})
        animator = ("STRING", {"default": "", "tooltip": "empty: MMFA's own"})
        return {"required": {"device": device}, "optional": {"animator": animator}}

    def load(self, device: str, animator: str = "") -> tuple[mmfa.Predictor]:
        """The predictor."""
        return (mmfa.load(device, animator.strip()),)


class AnimatePortrait:
    """Moves a portrait as the person in a batch of frames moves."""

    CATEGORY, FUNCTION = CATEGORY, "animate"
    RETURN_TYPES: ClassVar = ("IMAGE",)
    RETURN_NAMES: ClassVar = ("frames",)
    DESCRIPTION = "Moves a portrait as the person in the driving frames moves."

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802 - ComfyUI's name
        """See ComfyUI."""
        modes = "relative: changed as the frames change; absolute: as there; source: unchanged"
        auto = "the frame that relative motion counts from; -1 finds the most neutral one"
        return {
            "required": {
                "mmfa": (PREDICTOR,),
                "portrait": ("IMAGE", {"tooltip": "one picture"}),
                "driving": ("IMAGE", {"tooltip": "the frames of a video"}),
                "pose": (MODES, {"tooltip": f"head pose. {modes}"}),
                "expression": (MODES, {"tooltip": modes}),
            },
            "optional": {
                "amount": number(1.0, 0.0, 3.0, 0.05, "how much of the expression's change"),
                "reference": ("INT", {"default": -1, "min": -1, "max": 99999, "tooltip": auto}),
                "smooth": number(0.0, 0.0, 2.0, 0.05, "seconds over which the head is steadied"),
                "rate": number(25.0, 1.0, 240.0, 0.01, "frames per second of the driving frames"),
                "paste": PASTE,
                "mark": MARK,
            },
        }

    def animate(
        self,
        mmfa: mmfa.Predictor,
        portrait: Tensor,
        driving: Tensor,
        pose: str,
        expression: str,
        amount: float = 1.0,
        reference: int = -1,
        smooth: float = 0.0,
        rate: float = 25.0,
        paste: bool = False,
        mark: bool = False,
    ) -> tuple[Tensor]:
        """The frames: (B, S, S, 3), with ``paste`` in the size of the portrait."""
        me = mmfa.portrait(pictures(portrait)[0])
        field = {"expression": amount} if amount != 1.0 else {}
        frames = mmfa.animate(
            me,
            pictures(driving),
            rate=rate,
            pose=pose,
            expression=expression,
            amount=field,
            reference="auto" if reference < 0 else reference,
            smooth=smooth,
            paste=paste,
            mark=mark,
        )
        return (image_of(watched(frames, len(driving))),)


class EditPortrait:
    """Turns, moves and resizes the head of each picture."""

    CATEGORY, FUNCTION = CATEGORY, "edit"
    RETURN_TYPES: ClassVar = ("IMAGE",)
    RETURN_NAMES: ClassVar = ("image",)
    DESCRIPTION = "Turns, moves and resizes the head of each picture."

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802 - ComfyUI's name
        """See ComfyUI."""
        return {
            "required": {"mmfa": (PREDICTOR,), "image": ("IMAGE",)},
            "optional": {
                "yaw": number(0.0, -60.0, 60.0, 0.5, "degrees; + turns the nose to the LEFT"),
                "pitch": number(0.0, -60.0, 60.0, 0.5, "degrees; + looks UP"),
                "roll": number(0.0, -60.0, 60.0, 0.5, "degrees; + tilts CLOCKWISE"),
                "x": number(0.0, -1.0, 1.0, 0.01, "half sides of the square; + is RIGHT"),
                "y": number(0.0, -1.0, 1.0, 0.01, "half sides of the square; + is DOWN"),
                "scale": number(0.0, -0.5, 1.0, 0.01, "0.1 is a tenth larger"),
                "paste": PASTE,
                "mark": MARK,
            },
        }

    def edit(self, mmfa: mmfa.Predictor, image: Tensor, **options: Any) -> tuple[Tensor]:
        """The pictures: (B, S, S, 3), with ``paste`` in the size of ``image``."""
        made = (mmfa.pose(mmfa.portrait(one), **options) for one in pictures(image))
        return (image_of(watched(made, len(image))),)


def pictures(image: Tensor) -> list[Any]:
    """The pictures (H, W, 3) uint8 of an IMAGE; a fourth channel is left out."""
    levels = (image[..., :3].detach().cpu().float() * 255).round().clamp(0, 255)
    return list(levels.to(torch.uint8).numpy())


def image_of(frames: Iterable[Any]) -> Tensor:
    """Pictures (H, W, 3) uint8 as an IMAGE."""
    return torch.stack([torch.from_numpy(frame) for frame in frames]).float() / 255


def watched(frames: Iterable[Any], total: int) -> Iterable[Any]:
    """``frames``, with ComfyUI's progress bar and its button that stops."""
    advance, check = _comfy(total)
    for frame in frames:
        check()
        advance(1)
        yield frame


def _comfy(total: int) -> tuple[Callable[[int], None], Callable[[], None]]:
    try:
        from comfy.model_management import throw_exception_if_processing_interrupted as check
        from comfy.utils import ProgressBar
    except ImportError:  # outside of ComfyUI
        return lambda count: None, lambda: None
    return ProgressBar(total).update, check


NODE_CLASS_MAPPINGS = {
    "MMFALoad": LoadMMFA,
    "MMFAAnimate": AnimatePortrait,
    "MMFAEdit": EditPortrait,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "MMFALoad": "Load MMFA",
    "MMFAAnimate": "Animate Portrait (MMFA)",
    "MMFAEdit": "Edit Portrait (MMFA)",
}
