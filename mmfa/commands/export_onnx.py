"""``mmfa export-onnx``: the networks as ONNX files, for other runtimes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from mmfa_components.command import EXIT_CODES, guarded

PROG = "mmfa export-onnx"


def parser(prog: str = PROG, add_help: bool = True) -> argparse.ArgumentParser:
    """The command line."""
    text = (
        "Write the networks as ONNX files: encode (a portrait), decompose (frames to motion), render, face_detector, face_landmarks."
        " docs/onnx.md says how they go together."
    )
    parser = argparse.ArgumentParser(prog=prog, description=text, epilog=EXIT_CODES, add_help=add_help)
    parser.add_argument("-o", "--output", type=Path, default=Path("onnx"), metavar="FOLDER", help="folder to write to (default: onnx)")
    parser.add_argument("--no-check", action="store_true", help="do not compare the files with torch (by onnxruntime, where installed)")
    help_set = "another animator or other weights: --set weights.mmfa_base=mine.safetensors"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=help_set)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    """Export; gives the exit code."""
    options = parser(prog).parse_args(arguments)
    return guarded(lambda: _export(options))


def _export(options: argparse.Namespace) -> int:
    from mmfa.onnx_export import export_onnx, portrait_to_trace
    from mmfa_components.registry import load_registry
    from pipelines.catalogue import SHIPPED
    from pipelines.config.components import named_parts
    from pipelines.config.load import load_pipeline
    from pipelines.stages.components import build_components

    registry = load_registry()
    settings = [*options.overrides, "engine.device=cpu", "engine.precision=float32"]
    pipeline = named_parts(load_pipeline(SHIPPED / "batch_reenact.toml", settings), registry)
    components = build_components(pipeline, registry)
    crops, points = portrait_to_trace(components, pipeline.face)
    done = export_onnx(components, options.output, crops, points, not options.no_check)
    if options.json:
        print(json.dumps([{"file": str(one.path), "inputs": one.inputs, "outputs": one.outputs, "difference": one.difference} for one in done]))
        return 0
    for one in done:
        checked = "not checked" if one.difference is None else f"differs from torch by {one.difference:.0e} at most"
        print(f"{one.path}  {one.path.stat().st_size / 1e6:.1f} MB, {checked}")
    print(f"{options.output / 'models.json'}  names and shapes of all inputs and outputs")
    return 0
