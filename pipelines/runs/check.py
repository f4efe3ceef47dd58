"""Checks of a whole pipeline that need more than its schema: registry, codecs, devices, engines."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import attrs

from mmfa_components.errors import ConfigError, did_you_mean
from mmfa_components.records import MotionKind
from mmfa_components.registry import Registry
from pipelines.config.components import Use, check_components, motion_in_use
from pipelines.config.faults import Faults
from pipelines.config.schema import Engine, Pipeline, Transfer
from pipelines.engines import ENGINES
from pipelines.media import check_codec, suffix_of
from pipelines.runs.sealing import check_provenance
from pipelines.stages.components import resolve_device


def check_pipeline(pipeline: Pipeline, registry: Registry, faults: Faults) -> list[Use]:
    """Note every fault of a structured pipeline, and return the components it uses, as far as they are known."""
    uses = check_components(pipeline, registry, faults)
    _check_choice(pipeline.face.select, "largest", "face.select", faults)
    _check_choice(pipeline.transfer.reference, "auto", "transfer.reference", faults)
    motion = motion_in_use(uses)
    if motion is not None:
        check_transfer(pipeline.transfer, motion, "transfer", faults)
    _check_output(pipeline, faults)
    check_engine(pipeline, faults)
    _check_provenance(pipeline, faults)
    return uses


def check_transfer(transfer: Transfer, kind: MotionKind, where: str, faults: Faults) -> None:
    """Note fields that the motion of the chosen animator does not have, and amounts that have no meaning."""
    for name in transfer.fields:
        if name not in kind.fields:
            known = (*kind.fields, *(f.name for f in attrs.fields(Transfer) if f.name != "fields"))
            faults.add(f"{where}.{name}", "no such key here", did_you_mean(name, known))
    for name in transfer.amount:
        if name not in kind.fields:
            faults.add(f"{where}.amount.{name}", "this animator's motion has no such field", did_you_mean(name, kind.fields))
        elif transfer.mode(name) == "source" and name not in kind.zeroed:
            fix = 'take it "relative" or "absolute"'
            faults.add(f"{where}.amount.{name}", "a multiple of what comes from the source has no meaning", fix)


def _check_choice(value: str | int, word: str, where: str, faults: Faults) -> None:
    """A face or a reference frame: the word, or an index of at least 0."""
    if value == word or (isinstance(value, int) and value >= 0):
        return
    fix = f"for an index, write it without quotes: {value}" if isinstance(value, str) and value.isdecimal() else ""
    if isinstance(value, str) and not fix and did_you_mean(value, [word]).startswith("did"):
        fix = did_you_mean(value, [word])
    faults.add(where, f"expected {word!r} or a whole number from 0, got {value!r}", fix)


def _check_output(pipeline: Pipeline, faults: Faults) -> None:
    output = pipeline.output
    try:
        check_codec(output.codec)
    except ConfigError as error:
        faults.add_error(error)
    for key, name in (("contact_sheet", output.contact_sheet), ("report", output.report)):
        if name and Path(name).name != name:
            faults.add(f"output.{key}", f"{name!r} is not a plain file name", "name the folder in output.folder")
    if not output.report:
        faults.add("output.report", "is empty", 'give a file name, such as "report.json"')
    if output.report and output.report.casefold() == output.contact_sheet.casefold():
        faults.add("output.report", "has the name of the contact sheet", "give them different names")
    if output.contact_sheet and Path(output.contact_sheet).suffix.lower() not in (".png", ".jpg", ".jpeg"):
        faults.add("output.contact_sheet", f"{output.contact_sheet!r} is no .png or .jpg", 'such as "contact_sheet.png"')


def _check_provenance(pipeline: Pipeline, faults: Faults) -> None:
    check_provenance(pipeline.provenance, suffix_of(pipeline.output.codec), faults)


def check_engine(pipeline: Pipeline, faults: Faults) -> None:
    """Note an engine that does not exist and a device that is not there."""
    if pipeline.engine.name not in ENGINES:
        faults.add("engine.name", f"no engine is called {pipeline.engine.name!r}", did_you_mean(pipeline.engine.name, ENGINES))
    if pipeline.engine.name == "ray":
        check_ray(pipeline.engine, faults)
        return
    try:
        resolve_device(pipeline.engine.device)
    except ConfigError as error:
        faults.add_error(error)


def check_ray(engine: Engine, faults: Faults) -> None:
    """Note what the Ray engine cannot do with; the devices are those of its workers, not of this machine."""
    if engine.device not in ("auto", "cpu", "cuda"):
        faults.add("engine.device", f"{engine.device!r} is no device for workers", 'use "auto", "cpu" or "cuda"; Ray gives each its GPU')
    if find_spec("ray") is None:
        faults.add("engine.name", "Ray is not installed", "pip install 'mmfa[ray]'")
    options = engine.ray
    if options.max_actors and options.max_actors < options.min_actors:
        faults.add("engine.ray.max_actors", f"is less than min_actors ({options.min_actors})", "raise it, or leave it 0")
    if engine.device == "cpu" and options.gpus > 0:
        faults.add("engine.ray.gpus", 'is set, but engine.device is "cpu"', "leave out one of the two")
    if options.gpus > 1 and options.gpus % 1:
        faults.add("engine.ray.gpus", f"Ray shares one GPU or gives whole ones, not {options.gpus:g}", "use a whole number, or less than 1")
