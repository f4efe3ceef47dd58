"""How fast training is, and where its time goes: whole steps, then each module alone, forward and backward.

    python -m benchmarks.training_speed --batch 24 --steps 40                      one setting
    python -m benchmarks.training_speed --levers                                   every lever by itself, then all of them
    python -m benchmarks.training_speed --preset tiny --device cpu --batch 2 --steps 2   a rehearsal

Pictures and judging networks are random: speed does not depend on what they show, and no file is needed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from mmfa_components.geometry.shape import SHAPE_POINTS
from mmfa_components.losses.guide import GUIDE
from mmfa_components.losses.perceptual import VGGFeatures, multi_scale_perceptual_loss, perceptual_loss
from mmfa_components.networks.blocks import channels_last
from mmfa_components.networks.critics.perceptual import PerceptualDiscriminator, judged
from mmfa_components.registry import load_registry
from mmfa_components.training.clips import FaceClips
from mmfa_components.training.held_out import REGION_SIDE
from mmfa_components.training.labels import IMAGE
from pipelines.stages.components import resolve_device
from pipelines.training.group import Group
from pipelines.training.pairs import PairSource
from pipelines.training.schema import Run, train_schema
from pipelines.training.session import as_training_runs
from pipelines.training.systems import recipe_of
from pipelines.training.trainer import ALONE, Trainer
from plugins.mmfa.model import MMFAModel
from plugins.mmfa.presets import Sizes, preset
from plugins.mmfa.training.judges import Judges
from plugins.mmfa.training.objective import AnimationObjective, windowed
from plugins.mmfa.training.options import Losses, Model, Options, Schedule

WARM_UP = 5
CLIPS, FRAMES = 8, 8


def sizes_of(name: str) -> Sizes:
    """The sizes of a preset; "tiny" is the tests' own."""
    if name == "tiny":
        sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
        from tiny_training import use_tiny_preset

        use_tiny_preset()
    sizes: Sizes = preset(name).sizes
    return sizes


def random_clips(side: int, device: torch.device) -> FaceClips:
    """A few clips of noise with the identity as rotation and the face in the middle."""
    part = {
        IMAGE: torch.randint(0, 256, (FRAMES, 3, side, side), dtype=torch.uint8),
        "rotation": torch.eye(3).expand(FRAMES, 3, 3),
        "region": torch.tensor([[side / 2, side / 2, 0.9 * side, 0.0]]).expand(FRAMES, 4),
        "guide": torch.full((FRAMES, len(GUIDE), 2), side / 2),
        "place": torch.full((FRAMES, 3), side / 2),
        "shape": torch.randn(FRAMES, len(SHAPE_POINTS), 3),
    }
    return FaceClips.join([part] * CLIPS, device)


def judges(device: torch.device, levers: Levers) -> Judges:
    """VGG-16 with random weights and the shipped landmark network."""
    vgg = VGGFeatures().eval().to(device)
    if levers.channels_last:
        channels_last(vgg)
    context = load_registry().context(device, torch.float32)
    return Judges(vgg, None, context.build("landmark_detector", "facemesh", {}).region_points)


@attrs.frozen
class Levers:
    """What may be changed for speed.

    Those that change the result: ``levels``, pyramid levels of the perceptual loss, ``window``, of the finest result, ``landmarks``, ``centred``,
    ``discriminator``, what the adversary judges, and ``norms``, the statistics of batch norms.
    """

    channels_last: bool = True
    compile: bool = False
    graphs: bool = False
    precision: str = "auto"
    levels: tuple[int, int, int] = (1, 1, 2)
    landmarks: bool = True
    centred: bool = True
    window: int = 0
    discriminator: str = "pixels"
    norms: str = "batch"

    def __str__(self) -> str:
        parts = [f"{f.name}={getattr(self, f.name)}" for f in attrs.fields(Levers)]
        return " ".join(parts).replace(", ", ",")


def make_trainer(name: str, levers: Levers, batch: int, device: torch.device, group: Group = ALONE, seed: int = 0) -> Trainer:
    """A trainer of MMFA's preset ``name`` with every loss in, from its first step on.

    batch: over all processes of the group.
    """
    landmarks = 80.0 if levers.landmarks else 0.0
    pipeline = train_schema(Options)(
        losses=Losses(landmarks=landmarks, levels=levers.levels, centred=levers.centred, window=levers.window),
        model=Model(preset=name, discriminator=levers.discriminator, norms=levers.norms),  # type: ignore[arg-type]
        schedule=Schedule(adversarial_from=0, landmarks_from=0, landmarks_ramp=1),
        run=Run(
            batch=batch,
            seed=seed,
            compile=levers.compile,
            graphs=levers.graphs,
            channels_last=levers.channels_last,
            precision=levers.precision,  # type: ignore[arg-type]
        ),
    )
    recipe = recipe_of(pipeline, load_registry())
    return Trainer(recipe, pipeline, judges(device, levers), device, group)


def source(trainer: Trainer, clips: FaceClips) -> PairSource:
    """Pairs of clips, varied as the trainer's pipeline says."""
    return PairSource(clips, trainer.recipe.labels, trainer.pipeline.data)


def clock(device: torch.device) -> float:
    """Seconds, once all work given to the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def whole_steps(trainer: Trainer, material: PairSource, steps: int) -> dict[str, float]:
    """Pairs a second of whole training steps, seconds of the first one (compilation), and the most memory."""
    device = trainer.device
    start = clock(device)
    trainer.train_step(material)
    first = clock(device) - start
    for _ in range(min(WARM_UP, steps)):
        trainer.train_step(material)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start = clock(device)
    for _ in range(steps):
        trainer.train_step(material)
    seconds = (clock(device) - start) / steps
    memory = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
    return {"pairs_per_second": trainer.pipeline.run.batch / seconds, "ms_per_step": 1e3 * seconds, "first_step_s": first, "memory_gib": memory}


def module_work(trainer: Trainer, material: PairSource) -> Iterator[tuple[str, Callable[[], list[Tensor]]]]:
    """Each module with what it is called with in one step."""
    model, step = trainer.model, trainer.objective
    assert isinstance(model, MMFAModel)
    assert isinstance(step, AnimationObjective)
    pairs, transform = trainer.batch(material)
    count, first, target = len(pairs), pairs.source[IMAGE], pairs.driving[IMAGE]
    images = torch.cat([first, target, transform.warp_image(target)])
    with torch.no_grad():
        canonical = model.keypoint_detector(first)
        shapes = torch.cat([pairs.source["shape"], *[pairs.driving["shape"]] * 2])
        feature = model.expression(images, shapes)
        volume = model.appearance_extractor(first).detach()
        frame = torch.eye(3, device=images.device).expand(count, 3, 3)
        flow, occlusion, hint, surface = model.dense_motion(volume, canonical, canonical + 0.1, frame)
    four = feature.repeat(2, 1)[: 4 * count]
    results = [target.clone().requires_grad_(True)]
    moving = volume.clone().requires_grad_(True)
    yield "keypoint_detector (3 images)", lambda: [model.keypoint_detector(images)]
    yield "affine_estimator (3)", lambda: list(model.affine_estimator(images))
    yield "expression_encoder (3)", lambda: [model.expression(images, shapes)]
    yield "expression_decoder (4)", lambda: [model.expression_decoder(four, canonical.repeat(4, 1, 1))]
    yield "appearance_extractor", lambda: [model.appearance_extractor(first)]
    yield "dense_motion", lambda: list(model.dense_motion(moving, canonical, canonical + 0.1, frame))
    yield "generator", lambda: list(model.generator(moving, flow, occlusion, hint, first, surface))
    window = step.weights.window
    result, driving = (windowed(image, window, (0.5, 0.5)) for image in (results[0], target))
    perceptual, both = step.judges.perceptual, torch.cat([driving, result])
    shown = [both]
    if isinstance(trainer.critic, PerceptualDiscriminator):
        shown = [x.detach().requires_grad_(True) for x in judged(perceptual(both))]
    yield "discriminator (2)", lambda: [trainer.critic(*shown)[0]]
    coarse, levels = [torch.nn.functional.avg_pool2d(results[0], k) for k in (4, 2)], step.weights.levels

    def judge() -> list[Tensor]:
        finest = perceptual_loss(perceptual, result, driving, levels[-1])
        return [multi_scale_perceptual_loss(perceptual, coarse, target, levels[:-1]) + finest]

    yield "VGG-16, all levels", judge
    if step.judges.landmarks is not None:
        detect = step.judges.landmarks
        region = torch.rand(count, 3, REGION_SIDE, REGION_SIDE, device=images.device, requires_grad=True)
        yield "landmark network (result)", lambda: [detect(region)]


def by_module(trainer: Trainer, material: PairSource, repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds forward and backward of each module alone."""
    found: dict[str, dict[str, float]] = {}
    device = trainer.device
    for name, work in module_work(trainer, material):
        forward = backward = 0.0
        for number in range(repeats + 2):
            with trainer.precision():
                start = clock(device)
                outputs = work()
                middle = clock(device)
            torch.stack([o.float().mean() for o in outputs if o.requires_grad]).sum().backward(retain_graph=True)
            end = clock(device)
            if number >= 2:
                forward, backward = forward + middle - start, backward + end - middle
            trainer.optimizer.zero_grad(set_to_none=True)
        found[name] = {"forward_ms": 1e3 * forward / repeats, "backward_ms": 1e3 * backward / repeats}
    return found


def slowest_kernels(trainer: Trainer, material: PairSource, count: int, steps: int = 3) -> list[dict[str, Any]]:
    """The kernels (on a CPU: operators) whole steps spend most time in, slowest first: milliseconds a step, share of all, calls a step."""
    gpu = trainer.device.type == "cuda"
    kinds = [ProfilerActivity.CUDA] if gpu else [ProfilerActivity.CPU]
    with profile(activities=kinds) as found:
        for _ in range(steps):
            trainer.train_step(material)
        clock(trainer.device)
    times = [(e.self_device_time_total if gpu else e.self_cpu_time_total, e.count, e.key) for e in found.key_averages()]
    total = sum(t for t, _, _ in times)
    rows = sorted(times, reverse=True)[:count]
    return [{"kernel": key, "ms": t / steps / 1e3, "share": t / total, "calls": calls / steps} for t, calls, key in rows]


def settings(options: argparse.Namespace) -> list[Levers]:
    """The settings to measure."""
    given = Levers(
        not options.no_channels_last, options.compile, options.graphs, options.precision, tuple(options.levels), not options.no_landmarks,
        window=options.window, discriminator=options.discriminator, norms=options.norms,
    )  # fmt: skip
    if not options.levers:
        return [given]
    plain = Levers(channels_last=False, precision="float32")
    half = attrs.evolve(plain, precision="auto")
    last = attrs.evolve(half, channels_last=True)
    changed: list[dict[str, Any]] = [
        {"levels": (1, 1, 1)}, {"window": 128}, {"discriminator": "features"}, {"norms": "running"}, {"graphs": True}, {"compile": True},
        {"landmarks": False},
    ]  # fmt: skip
    return [plain, half, last, *(attrs.evolve(last, **change) for change in changed)]


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="base", help="base, paper, or tiny for a rehearsal")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--levels", type=int, nargs=3, default=(1, 1, 2), help="pyramid levels of the perceptual loss")
    parser.add_argument("--window", type=int, default=0, help="side of the window of the finest result that is judged, 0: all")
    parser.add_argument("--discriminator", default="pixels", choices=("pixels", "features"))
    parser.add_argument("--norms", default="batch", choices=("batch", "running"), help="statistics of the batch norms")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--graphs", action="store_true", help="CUDA graphs")
    parser.add_argument("--no-channels-last", action="store_true")
    parser.add_argument("--no-landmarks", action="store_true")
    parser.add_argument("--levers", action="store_true", help="measure every lever by itself")
    parser.add_argument("--no-modules", action="store_true", help="whole steps alone")
    parser.add_argument("--kernels", type=int, default=0, help="list so many of the slowest kernels of whole steps")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    options = parser.parse_args()
    device = resolve_device(options.device)
    sizes = sizes_of(options.preset)
    as_training_runs(device)
    clips = random_clips(sizes.image, device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{options.preset}, batch {options.batch}, {options.steps} steps, {name}, torch {torch.__version__}", flush=True)
    rows: list[dict[str, Any]] = []
    for levers in settings(options):
        trainer = make_trainer(options.preset, levers, options.batch, device)
        material = source(trainer, clips)
        figures = whole_steps(trainer, material, options.steps)
        rows.append({"levers": attrs.asdict(levers), **figures})
        speed = f"{figures['pairs_per_second']:8.1f} images/s  {figures['ms_per_step']:8.1f} ms  {figures['memory_gib']:5.1f} GiB"
        print(f"{speed}  {levers}", flush=True)
    modules: dict[str, dict[str, float]] = {}
    if not options.no_modules:
        if trainer.pipeline.run.graphs:  # recordings take the shapes of training alone
            trainer = make_trainer(options.preset, attrs.evolve(levers, graphs=False), options.batch, device)
        modules = by_module(trainer, material, max(2, options.steps // 4))
    total = sum(m["forward_ms"] + m["backward_ms"] for m in modules.values())
    for part, ms in sorted(modules.items(), key=lambda item: -sum(item[1].values())):
        share = (ms["forward_ms"] + ms["backward_ms"]) / total
        print(f"{part:<30} {ms['forward_ms']:8.2f} ms forward {ms['backward_ms']:8.2f} ms backward {100 * share:5.1f} %")
    kernels = slowest_kernels(trainer, material, options.kernels) if options.kernels else []
    for row in kernels:
        print(f"{row['ms']:8.2f} ms {100 * row['share']:5.1f} % {row['calls']:7.1f} calls  {row['kernel'][:150]}")
    if options.json:
        found = {"device": name, "settings": rows, "modules": modules, "kernels": kernels}
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
