"""Paste-back, before and after shoulders and borders are held still: how much of the picture around the head changes.

  python -m benchmarks.paste_back PORTRAIT ... -o FOLDER

For every portrait the head is turned, tilted and scaled and put back into the picture, once with the feathered border alone
("before", at 256 pixels) and once as ``output.frame = "paste"`` does it. Measured, in levels of 0 to 255: ``band``, the mean
difference to the source within 5 % of the crop's side from its border; ``shoulders``, the same in the lowest sixth of the crop beside
the neck; ``jitter``, the mean standard deviation there over a tilt from -15 to 15 degrees. Strips to look at are written to FOLDER.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import attrs
import torch
from rich.console import Console
from torch import Tensor

from mmfa_components.geometry.rotations import euler_to_matrix
from mmfa_components.records import Motion
from mmfa_components.registry import load_registry
from pipelines.config.schema import Engine, Output, Pipeline
from pipelines.engines.in_process import InProcessEngine
from pipelines.media import write_image
from pipelines.reports.grid import GridRow, draw_grid
from pipelines.stages.encode import Portrait, StillUnit, encode_still, with_view
from pipelines.stages.paste import paste_crops
from pipelines.stages.render import RenderUnit, render_span
from pipelines.stages.view import viewing_of

POSES: dict[str, dict[str, float]] = {
    "roll 15": {"roll": 15}, "roll -15": {"roll": -15}, "yaw 15": {"yaw": 15}, "yaw -15": {"yaw": -15}, "yaw 30": {"yaw": 30},
    "yaw -30": {"yaw": -30}, "pitch 15": {"pitch": 15}, "pitch -15": {"pitch": -15}, "scale 1.1": {"scale": 1.1}, "scale .9": {"scale": 0.9},
}  # fmt: skip
TILTS = {f"tilt {angle}": {"roll": float(angle)} for angle in range(-15, 16, 5)}
BAND, LOWEST, NECK = 0.05, 1 / 6, 0.2


def posed(own: Motion, poses: list[dict[str, float]]) -> Motion:
    """The portrait's own motion, changed by each of the poses (degrees, factor)."""
    angles = torch.tensor([[p.get(k, 0.0) for k in ("yaw", "pitch", "roll")] for p in poses]).deg2rad()
    turn = euler_to_matrix(*angles.unbind(1))
    many = own[torch.zeros(len(poses), dtype=torch.long)]
    scale = torch.tensor([p.get("scale", 1.0) for p in poses])
    return attrs.evolve(many, rotation=turn @ many.rotation, scale=many.scale * scale)


def regions(portrait: Portrait) -> tuple[Tensor, Tensor]:
    """Masks (H, W) of the picture: the band along the crop's border, and the lowest part of the crop beside the neck."""
    height, width = portrait.rgb.shape[:2]
    x, y, side = (float(v) for v in portrait.square[:3])
    u = (torch.arange(width) + 0.5 - x) / side + 0.5
    v = (torch.arange(height) + 0.5 - y) / side + 0.5
    inside = ((u > 0) & (u < 1))[None] & ((v > 0) & (v < 1))[:, None]
    edge = torch.minimum(torch.minimum(u, 1 - u)[None], torch.minimum(v, 1 - v)[:, None])
    beside = ((u - 0.5).abs() > NECK)[None]
    return inside & (edge < BAND), inside & (v > 1 - LOWEST)[:, None] & beside


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portraits", nargs="+", type=Path)
    parser.add_argument("-o", "--folder", type=Path, default=Path("outputs/paste_back"))
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    pipeline = Pipeline(output=Output(frame="paste"), engine=Engine(device=options.device))
    engine = InProcessEngine(pipeline, load_registry(), lambda frames: None)
    viewing = viewing_of(pipeline.output, engine.facts)
    poses = {**POSES, **TILTS}
    sums: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    console = Console(width=160)
    for path in options.portraits:
        portrait = with_view(next(iter(engine.map(encode_still, [StillUnit(path, pipeline.face)]))), viewing)
        band, low = regions(portrait)
        rows, made = [], {}
        for name, view in (("before", None), ("after", portrait.view)):
            start = time.perf_counter()
            unit = RenderUnit(0, posed(portrait.motion, list(poses.values())), portrait.motion, portrait.identity, view=view)  # type: ignore[arg-type]
            span = next(iter(engine.map(render_span, [unit])))
            seconds = (time.perf_counter() - start) / len(poses)
            shown = paste_crops(portrait.rgb[None], span.rgb, portrait.square, span.still)
            made[name] = shown
            apart = (shown.float() - portrait.rgb.float()).abs().mean(-1)  # (n, H, W)
            jitter = shown[len(POSES) :].float()[:, low].std(0).mean()
            for number, pose in enumerate(POSES):
                figures = float(apart[number][band].mean()), float(apart[number][low].mean())
                sums.setdefault((name, pose), []).append(figures)
            sums.setdefault((name, "jitter"), []).append((float(jitter), seconds))
            tiles = [("source", portrait.rgb), *zip(POSES, shown[: len(POSES)], strict=True)]
            rows.append(GridRow(name, [(text, _part(picture, portrait)) for text, picture in tiles]))
        write_image(options.folder / f"{path.stem}.png", draw_grid(rows, f"{path.name}, {span.rgb.shape[1]} pixels"))
    for (name, pose), figures in sums.items():
        means = torch.tensor(figures).mean(0).tolist()
        most = torch.tensor(figures).amax(0).tolist()
        words = ("jitter", "seconds a frame") if pose == "jitter" else ("band", "shoulders")
        console.print(f"{name:7} {pose:10}", *(f"{w} {m:.3f} (most {x:.3f})" for w, m, x in zip(words, means, most, strict=True)))
    engine.close()


def _part(picture: Tensor, portrait: Portrait) -> Tensor:
    """The picture around the crop, at most 1.3 times its side."""
    x, y, half = (float(v) for v in (portrait.square[0], portrait.square[1], portrait.square[2] * 0.65))
    return picture[max(0, int(y - half)) : int(y + half), max(0, int(x - half)) : int(x + half)]


if __name__ == "__main__":
    main()
