"""Job keys: one digest of everything that determines the bytes of a result, kept in the result's own metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from mmfa_components.errors import MMFAError
from pipelines.config.schema import Face, Job, Pipeline
from pipelines.media import encoder_facts, read_metadata
from pipelines.remote import is_uploaded, read_marker
from pipelines.reports import InputReport
from pipelines.runs.sealing import seal_facts
from pipelines.stages.components import Facts
from pipelines.stages.transfer import transfer_facts
from pipelines.stages.view import viewing_of

RESULTS_VERSION = 2
"""Raised whenever the stages change what comes out for the same inputs and options."""
METADATA_KEY = "mmfa"
SYNTHETIC = "this picture or video is synthetic: a face moved or made by MMFA"


def job_face(pipeline: Pipeline, job: Job) -> Face:
    """The face options of a job: the pipeline's, with the job's own choice of face."""
    return pipeline.face if job.face is None or job.face == "" else attrs.evolve(pipeline.face, select=job.face)


def job_reference(pipeline: Pipeline, job: Job) -> str | int:
    """The reference frame of a job: its own, or the pipeline's."""
    return pipeline.transfer.reference if job.reference is None or job.reference == "" else job.reference


def job_key(pipeline: Pipeline, job: Job, facts: Facts, source_digest: str, driving_digest: str) -> str:
    """The key of a job (hex). Where it runs, in which batches and under which file names does not count."""
    face, output = attrs.asdict(job_face(pipeline, job)), attrs.asdict(pipeline.output)
    viewing = viewing_of(pipeline.output, facts)
    body = {
        "version": RESULTS_VERSION,
        "source": source_digest,
        "driving": driving_digest,
        "components": facts.all(),
        "precision": facts.precision,
        "face": {k: face[k] for k in ("select", "max_gap", "crop_ratio", "min_score", "smooth")},
        "transfer": transfer_facts(pipeline.transfer, facts.motion, job_reference(pipeline, job)),
        "output": output_facts(output),
        "encoding": encoder_facts(),
        **({"view": viewing.key()} if viewing is not None else {}),
        **({"provenance": seal_facts(pipeline.provenance)} if pipeline.provenance.certificate else {}),
    }
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()


def output_facts(output: dict[str, Any]) -> dict[str, Any]:
    """What of the output table decides the bytes of a result; what is off by default counts only when it is on."""
    return {**{k: output[k] for k in ("frame", "codec", "quality", "audio")}, **{k: True for k in ("mark", "motion") if output[k]}}


def read_notes(output: Path) -> dict[str, Any]:
    """What a finished result says of itself (``key``, ``frames``, ...); empty when there is none or it is not ours."""
    remote = is_uploaded(output)
    if not remote and not output.is_file():
        return {}
    try:
        notes = json.loads((read_marker(output) if remote else read_metadata(output)).get(METADATA_KEY, "{}"))
    except (MMFAError, ValueError, OSError):
        return {}
    return notes if isinstance(notes, dict) else {}


def write_notes(notes: dict[str, Any], facts: Facts, motion: str) -> dict[str, str]:
    """``notes`` as the metadata of a result, which also says that it is synthetic, by which model and with which motion (paper, social impact)."""
    return {"synthetic": SYNTHETIC, "model": model_text(facts.animator), "motion": motion, METADATA_KEY: json.dumps(notes, separators=(",", ":"))}


def motion_text(*clips: InputReport) -> str:
    """Whose motion it is, in one line: file names with the beginning of their sha256."""
    return ", ".join(f"{Path(clip.path).name} sha256:{clip.digest[:16]}" for clip in clips)


def model_text(animator: Mapping[str, Any]) -> str:
    """The animator in one line: its name and version, and every weights file with the beginning of its sha256."""
    weights = ", ".join(f"{name} sha256:{str(digest)[:16]}" for name, digest in animator.get("weights", {}).items())
    return f"{animator['name']} {animator['version']}" + (f" ({weights})" if weights else "")
