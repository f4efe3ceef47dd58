"""Results at 512 pixels: the portrait's own pixels against an enlarged 256-pixel result, on clips of people.

  python -m benchmarks.sides CLIP ... -o FOLDER

The first frame of every clip is the portrait, FRAMES others drive it; what comes out is compared with those frames at 512 pixels.
LPIPS (alex) is of the whole square; ``detail`` is the energy of the finest band (a pixel less the mean of the 3 x 3 around it) over that
of the real frame. Clips of fewer than 512 pixels a face's square are left out. Intervals are over clips (bootstrap, 95 %).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components.metrics.lpips import LPIPS
from mmfa_components.registry import load_registry
from mmfa_components.weights import load_into
from pipelines.config.schema import Engine, Output, Pipeline
from pipelines.engines.in_process import InProcessEngine
from pipelines.media import probe, write_image
from pipelines.reports.grid import GridRow, draw_grid
from pipelines.stages.crop import crop_frames
from pipelines.stages.encode import StillUnit, encode_still, with_view
from pipelines.stages.frames import to_bytes, to_float
from pipelines.stages.render import RenderUnit, render_span
from pipelines.stages.view import viewing_of

SIDE, FRAMES = 512, 5
CPU = torch.device("cpu")


def detail(image: Tensor) -> Tensor:
    """Energy of the finest band of images (n, 3, S, S), each."""
    return (image - functional.avg_pool2d(image, 3, 1, 1)).square().mean((1, 2, 3))


def interval(values: Tensor) -> str:
    """Mean of values (n,) with its interval."""
    draws = torch.randint(len(values), (2000, len(values)), generator=torch.Generator().manual_seed(0))
    low, high = values[draws].mean(1).quantile(torch.tensor([0.025, 0.975])).tolist()
    return f"{values.mean():.4f} [{low:.4f}, {high:.4f}]"


@torch.inference_mode()
def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("-o", "--folder", type=Path, default=Path("outputs/sides"))
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    pipeline = Pipeline(output=Output(side=SIDE), engine=Engine(device=options.device))
    registry = load_registry()
    context = registry.context()
    judge = LPIPS()
    load_into(judge, context.weights.read("lpips_alex"), "lpips_alex")
    engine = InProcessEngine(pipeline, registry, lambda frames: None)
    viewing = viewing_of(pipeline.output, engine.facts)
    figures: dict[str, list[float]] = {}
    seconds = {"256": 0.0, "512": 0.0}
    for path in options.clips:
        frames = probe(path).frames or 2
        chosen = [round(1 + i * (frames - 2) / (FRAMES - 1)) for i in range(FRAMES)]
        first, *others = engine.map(encode_still, [StillUnit(path, pipeline.face, n) for n in (0, *chosen)])
        first = with_view(first, viewing)
        if float(first.square[2]) < SIDE * 0.8:
            print(f"{path.name}: left out, {float(first.square[2]):.0f} pixels")
            continue
        # every frame through the square of the first, as a clip is read
        rgb = torch.stack([p.rgb for p in others])
        real = crop_frames(rgb, first.square, SIDE, CPU, fill=True).rgb
        driving = type(first.motion).concatenate([_told(p, first) for p in others])
        made = {}
        for name, view in (("256", None), ("512", first.view)):
            start = time.perf_counter()
            span = next(iter(engine.map(render_span, [RenderUnit(0, driving, first.motion, first.identity, view=view)])))
            seconds[name] += time.perf_counter() - start
            made[name] = to_float(span.rgb, CPU)
        small = functional.interpolate(real, size=(256, 256), mode="area")
        made["enlarged"] = functional.interpolate(made["256"], size=(SIDE, SIDE), mode="bicubic").clamp(0, 1)
        for name, image, truth in (("LPIPS at 256", made["256"], small), ("LPIPS at 512, 256 enlarged", made["enlarged"], real),
                                   ("LPIPS at 512, side 512", made["512"], real)):  # fmt: skip
            figures.setdefault(name, []).append(float(judge(image, truth).mean()))
        for name in ("enlarged", "512"):
            figures.setdefault(f"detail, {name}", []).append(float((detail(made[name]) / detail(real)).mean()))
        rows = [GridRow(n, [("", t) for t in to_bytes(i)]) for n, i in (("real", real), ("256", made["enlarged"]), ("512", made["512"]))]
        write_image(options.folder / f"{path.stem}.png", draw_grid(rows, path.name))
        torch.save({k: to_bytes(v) for k, v in {**made, "real": real}.items()}, options.folder / f"{path.stem}.pt")
    engine.close()
    gain = torch.tensor(figures["LPIPS at 512, side 512"]) - torch.tensor(figures["LPIPS at 512, 256 enlarged"])
    for name, values in figures.items():
        print(f"{name:28} {interval(torch.tensor(values))} over {len(values)} clips")
    print(f"{'side 512 less enlarged':28} {interval(gain)}")
    frames = FRAMES * len(gain)
    print(", ".join(f"side {name}: {value / frames:.2f} s a frame" for name, value in seconds.items()))


def _told(portrait: object, first: object) -> object:
    """The motion of a frame, as the square of the first one sees it."""
    from mmfa_components.geometry.placing import placed

    return placed(portrait.motion, portrait.square[None], first.square[None])  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
