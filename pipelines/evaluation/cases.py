"""All cases of an evaluation, one after the other: what is finished is taken from the ledger, what fails fails alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from torch import Tensor

from mmfa_components.registry import Registry
from pipelines.evaluation.animators import Runner
from pipelines.evaluation.ledger import Case, Ledger
from pipelines.evaluation.measure import OPENINGS, Instruments, measure_motion, measure_scene
from pipelines.evaluation.scenes import REFERENCES, SIDE, Scene, choose_frames, cross_scene, found_frames, same_scene, steady_frames
from pipelines.evaluation.schema import EvaluatePlan, Input, split_label
from pipelines.evaluation.steadiness import steadiness
from pipelines.evaluation.strips import scene_strip, sweep_strip
from pipelines.evaluation.sweep import sweep
from pipelines.media import content_digest
from pipelines.reports.run_report import ErrorReport
from pipelines.runs.failures import describe
from pipelines.runs.progress import Progress
from pipelines.stages.components import fingerprint
from pipelines.stages.transfer import transfer_facts

JUDGE = {"same": ("akd", "lpips", "psnr"), "cross": ("apd", "csim")}
"""Metrics by which a protocol's worst frames and cases are chosen: the first that is measured."""


@attrs.frozen
class Failure:
    """A case that could not be measured."""

    protocol: str
    row: str
    name: str
    error: ErrorReport


def judge(protocol: str, metrics: Mapping[str, Any]) -> str:
    """The metric by which the worst are chosen, "" when none is measured."""
    return next((name for name in JUDGE.get(protocol, ()) if name in metrics), "")


@attrs.define
class Cases:
    """Measures every case of a plan into ``found``; what could not be measured is in ``failures``."""

    plan: EvaluatePlan
    registry: Registry
    instruments: Instruments
    ledger: Ledger
    progress: Progress
    found: list[Case] = attrs.field(factory=list)
    failures: list[Failure] = attrs.field(factory=list)
    again: int = 0
    _digests: dict[Path, str] = attrs.field(factory=dict)
    _decides: dict[str, Any] = attrs.field(factory=dict)

    def row(self, row: str, runner: Runner) -> None:
        """Measure every case of one row of the tables with the animator of ``runner``."""
        p = self.plan.pipeline
        reference = row in REFERENCES
        self._decides = self._row_decides(row, runner)
        for number, clip in enumerate(self.plan.clips):
            if p.same.run:
                self._case("same", runner, row, clip, None, partial(self._same, runner, row, clip))
            if p.temporal.run and row != REFERENCES[0]:
                self._case("temporal", runner, row, clip, None, partial(self._temporal, runner, row, clip))
            if p.cross.run:
                for index in self.plan.pairs[number]:
                    portrait = self.plan.portraits[index]
                    self._case("cross", runner, row, clip, portrait, partial(self._cross, runner, row, clip, portrait))
        if p.control.run and not reference and runner.facts.motion.edits == "head":
            for number, portrait in enumerate(self.plan.portraits[: p.control.portraits or None]):
                clip = self.plan.clips[number % len(self.plan.clips)]
                self._case("control", runner, row, clip, portrait, partial(self._control, runner, row, clip, portrait))

    # ---- one case of each protocol: what decides it, and how it is measured ---------------------------------------
    def _same(self, runner: Runner, row: str, item: Input) -> tuple[dict[str, Any], Callable[[], dict[str, Tensor]]]:
        clip = runner.clip(item.path)
        source, frames = choose_frames(found_frames(clip), self.plan.pipeline.frames, str(item.path))
        decides = {"frames": frames, "source": source, "clip": clip.report.digest, "also": OPENINGS}
        return decides, lambda: self._scene("same", row, same_scene(runner, row, item, frames, source))

    def _cross(self, runner: Runner, row: str, item: Input, portrait: Input) -> tuple[dict[str, Any], Callable[[], dict[str, Tensor]]]:
        clip, cross = runner.clip(item.path), self.plan.pipeline.cross
        _, frames = choose_frames(found_frames(clip), self.plan.pipeline.frames, str(item.path))
        modes = transfer_facts(cross.transfer(), runner.facts.motion, "auto")
        modes.pop("reference")
        decides = {"frames": frames, "clip": clip.report.digest, "portrait": self._digest(portrait.path), "modes": modes, "also": OPENINGS}
        return decides, lambda: self._scene("cross", row, cross_scene(runner, row, item, portrait, frames, cross))

    def _temporal(self, runner: Runner, row: str, item: Input) -> tuple[dict[str, Any], Callable[[], dict[str, Tensor]]]:
        clip = runner.clip(item.path)
        found = found_frames(clip)
        frames = steady_frames(clip, found, self.plan.pipeline.temporal.frames)
        decides = {"frames": frames, "source": found[0], "clip": clip.report.digest}

        def make() -> dict[str, Tensor]:
            scene = same_scene(runner, row, item, frames, found[0])
            return steadiness(measure_motion(self.instruments, scene.results))

        return decides, make

    def _control(self, runner: Runner, row: str, item: Input, portrait: Input) -> tuple[dict[str, Any], Callable[[], dict[str, Tensor]]]:
        clip, control = runner.clip(item.path), self.plan.pipeline.control
        decides = {"clip": clip.report.digest, "portrait": self._digest(portrait.path), "control": attrs.asdict(control)}

        def make() -> dict[str, Tensor]:
            made = sweep(runner, self.instruments, portrait, clip, control)
            strip = sweep_strip(made.pop("still"), made.pop("images"))
            return {**made, "strip": strip} if self.plan.pipeline.output.pictures else made

        return decides, make

    def _scene(self, protocol: str, row: str, scene: Scene) -> dict[str, Tensor]:
        measured = measure_scene(self.instruments, scene, protocol)
        if self.plan.pipeline.output.pictures and row not in REFERENCES:
            name = judge(protocol, self.instruments.metrics)
            value = measured.get(f"value/{name}") if name else None
            if value is not None and self.instruments.metrics[name].facts.higher:
                value = -value
            measured["strip"] = scene_strip(scene, value)
        return measured

    # ---- all cases alike --------------------------------------------------------------------------------------------
    def _case(
        self, protocol: str, runner: Runner, row: str, clip: Input, portrait: Input | None,
        prepare: Callable[[], tuple[dict[str, Any], Callable[[], dict[str, Tensor]]]],
    ) -> None:  # fmt: skip
        name = f"{protocol}: {portrait.path.name} x {clip.path.name}" if portrait else f"{protocol}: {clip.path.name}"
        try:
            decides, make = prepare()
            key = self.ledger.key({**self._decides, "protocol": protocol, **decides})
            case = self.ledger.get(key)
            if case is None:
                if portrait:
                    runner.portrait(portrait.path)  # kept for the case; encoding it has a label of its own
                self.progress.start(f"{row}, {name}", None)
                case = Case(protocol, row, str(clip.path), str(portrait.path) if portrait else "", make())
                self.ledger.put(key, case)
                self.progress.job_done(f"{row}, {name}")
            else:
                self.again += 1
                self.progress.job_done(f"{row}, {name} (measured before)")
            self.found.append(attrs.evolve(case, row=row))
        except Exception as error:  # one bad input must not stop the others
            self.failures.append(Failure(protocol, row, name.partition(": ")[2], describe(error, name)))
            self.progress.job_done(f"FAILED {row}, {name}\n  {self.failures[-1].error}")

    def _row_decides(self, row: str, runner: Runner) -> dict[str, Any]:
        """What decides every case of a row: the animator (none for references), the metrics with their weights, the side."""
        facts, p = runner.facts, self.plan.pipeline
        made_by = {"reference": row, "face": (facts.detector, facts.landmarks)} if row in REFERENCES else {"animator": facts.all()}
        face = {n: getattr(p.face, n) for n in ("select", "max_gap", "crop_ratio", "min_score")}
        precision = "exact" if row in REFERENCES else facts.precision
        return {
            "format": 1, **made_by, "precision": precision, "face_options": face, "side": SIDE, "pictures": p.output.pictures,
            "metrics": [self._metric(name) for name in p.metrics],
        }  # fmt: skip

    def _metric(self, name: str) -> dict[str, Any]:
        """What decides a metric's figures, and its label, under which they are kept."""
        catalogue = self.registry.catalogue({n: Path(f) for n, f in self.plan.pipeline.weights.items()})
        component, label = split_label(name)
        files = {w: catalogue.digest(w) for w in self.registry.spec("metric", component).weights if catalogue.path(w).is_file()}
        print_ = fingerprint(self.registry, "metric", component, self.plan.pipeline.metric_options.get(name, {}))
        return {**print_, "weights": files, **({"label": label} if label else {})}

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = content_digest(path)
        return self._digests[path]


def without_control(plan: EvaluatePlan, registry: Registry) -> list[str]:
    """Titles of the animators whose control is not measured: their motion is not that of a head that turns."""
    motions = {c.title: registry.spec("animator", c.name).motion for c in plan.pipeline.animators}
    return [title for title, motion in motions.items() if motion is None or motion.edits != "head"]


def expected(plan: EvaluatePlan, registry: Registry) -> int:
    """How many cases a plan has."""
    p = plan.pipeline
    animators = len(p.animators)
    controlled = animators - len(without_control(plan, registry))
    rows = animators + len(REFERENCES)
    count = rows * len(plan.clips) * p.same.run + rows * sum(map(len, plan.pairs)) * p.cross.run
    count += (rows - 1) * len(plan.clips) * p.temporal.run
    return count + controlled * len(plan.portraits[: p.control.portraits or None]) * p.control.run
