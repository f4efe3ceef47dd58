"""One animator at work: the stages of the batch, asked for single frames instead of whole videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from mmfa_components.records import Record
from mmfa_components.registry import Registry
from pipelines.config.schema import Part, Pipeline
from pipelines.engines import ENGINES
from pipelines.evaluation.schema import Candidate, EvaluatePipeline
from pipelines.runs.clips import Clip, Preparation, input_report
from pipelines.runs.progress import Progress
from pipelines.stages.encode import FrameUnit, Portrait, encode_frame
from pipelines.stages.render import RenderUnit, render_span
from pipelines.stages.store import Store
from pipelines.stages.transfer import Carry

T = TypeVar("T")


def pipeline_of(evaluation: EvaluatePipeline, candidate: Candidate) -> Pipeline:
    """The pipeline one animator runs in."""
    return Pipeline(
        face=evaluation.face, animator=Part(candidate.name, candidate.options), cache=evaluation.cache, engine=evaluation.engine,
        weights={**evaluation.weights, **candidate.weights},
    )  # fmt: skip


class Runner:
    """An animator on its engine. Clips and portraits are prepared once; an input that failed fails each time for the same reason."""

    def __init__(self, pipeline: Pipeline, registry: Registry, progress: Progress, warn: Callable[[str], None]) -> None:
        """Build the components. Raises ConfigError, PluginError or WeightsError."""
        self.pipeline, self.progress = pipeline, progress
        self.engine = ENGINES[pipeline.engine.name](pipeline, registry, progress.advance, warn)
        self.facts = self.engine.facts
        self.store = Store(pipeline.cache, registry.records, warn)
        self.preparation = Preparation(self.engine, self.store, progress, pipeline.engine.span)
        self._clips: dict[Path, Clip | Exception] = {}
        self._portraits: dict[Path, Portrait | Exception] = {}

    def clip(self, path: Path) -> Clip:
        """A clip, tracked and decomposed. Raises MediaError or NoFaceError."""
        return _once(self._clips, path, lambda: self.preparation.clip(path, self.pipeline.face, input_report(path, "video")))

    def portrait(self, path: Path) -> Portrait:
        """A portrait, cropped and encoded; the last ones are kept. Raises MediaError or NoFaceError."""
        if path not in self._portraits and len(self._portraits) > 8:  # each holds an appearance volume
            self._portraits.pop(next(iter(self._portraits)))
        return _once(self._portraits, path, lambda: self.preparation.portrait(path, self.pipeline.face, input_report(path, "image")))

    def frame_as_source(self, clip: Clip, frame: int) -> tuple[Any, Record]:
        """Identity and motion (N = 1) of one frame of a clip."""
        identity = next(iter(self.engine.map(encode_frame, [FrameUnit(clip.path, frame, clip.track.read(frame, frame + 1), clip.square)])))
        return identity, clip.motion.read(frame, frame + 1)

    def render(self, identity: Any, source: Record, driving: Record, carry: Carry | None = None) -> Tensor:
        """Crops (N, S, S, 3) uint8 of the identity moved to each row of ``driving``, or to what ``carry`` makes of it."""
        span = self.pipeline.engine.span
        units = [RenderUnit(i, driving[i : i + span], source, identity, carry) for i in range(0, len(driving), span)]
        return torch.cat([part.rgb for part in self.engine.map(render_span, units)])

    def close(self) -> None:
        """Give back what the engine and the store hold."""
        self.engine.close()
        self.store.close()


def _once(known: dict[Path, T | Exception], path: Path, make: Callable[[], T]) -> T:
    if path not in known:
        try:
            known[path] = make()
        except Exception as error:  # remembered: every case with this input fails for the same reason
            known[path] = error
    kept = known[path]
    if isinstance(kept, Exception):
        raise kept
    return kept
