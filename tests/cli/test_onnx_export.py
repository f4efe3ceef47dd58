"""``mmfa export-onnx``: the files compute what torch computes, for any batch, from the portrait to the picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from mmfa.cli import main
from mmfa.onnx_export import TOLERANCE, export_onnx, portrait_to_trace
from mmfa_components import records as r
from mmfa_components.errors import PackageError
from mmfa_components.registry import load_registry
from pipelines.catalogue import SHIPPED
from pipelines.config.components import named_parts
from pipelines.config.load import load_pipeline
from pipelines.stages.components import Components, build_components

FILES = ("decompose", "encode", "face_detector", "face_landmarks", "render")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files, written by the command."""
    folder = tmp_path_factory.mktemp("onnx")
    assert main(["export-onnx", "-o", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def components() -> tuple[Components, torch.Tensor, torch.Tensor]:
    """The shipped system in float32, with crops and landmarks of a face."""
    pipeline = load_pipeline(SHIPPED / "batch_reenact.toml", ["engine.device=cpu", "engine.precision=float32"])
    pipeline = named_parts(pipeline, load_registry())
    built = build_components(pipeline, load_registry())
    return built, *portrait_to_trace(built, pipeline.face)


def test_every_file_was_compared_with_torch(folder: Path) -> None:
    index = json.loads((folder / "models.json").read_text(encoding="utf-8"))
    assert sorted(index["models"]) == [f"{name}.onnx" for name in FILES]
    for model in index["models"].values():
        assert 0 <= model["difference"] < TOLERANCE
        assert all(shape[0] == "batch" for shape in model["outputs"].values())
    assert index["facts"]["animator"]["weights"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("batch", [1, 3])
def test_from_portrait_to_picture_with_any_batch(folder: Path, components: Any, batch: int) -> None:
    built, crops, points = components
    crops, points = (torch.cat([value, value])[:batch] for value in (crops, points))

    def run(name: str, feed: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])
        taken = {one.name for one in session.get_inputs()}
        values = session.run(None, {key: value for key, value in feed.items() if key in taken})
        return dict(zip((one.name for one in session.get_outputs()), values, strict=True))

    seen = {"image": crops.numpy(), "points": points.numpy()}
    motion = run("decompose", seen)
    identity = run("encode", {name: value[:1] for name, value in seen.items()})
    feed = {**identity, **{f"source_{k}": v[:1] for k, v in motion.items()}, **{f"driving_{k}": v for k, v in motion.items()}}
    picture = run("render", feed)["image"]
    landmarks = r.Landmarks(points, torch.ones(batch))
    with torch.no_grad():
        moves = built.animator.decompose(r.Frames(crops), landmarks)
        who = built.animator.encode(r.Frames(crops[:1]), landmarks[:1])
        wanted = built.animator.render(who, moves[:1], moves).rgb
    assert picture.shape == (batch, 3, 256, 256)
    assert float((torch.from_numpy(picture) - wanted).abs().max()) < 5e-3
    for name, value in moves.tensors().items():
        assert float((torch.from_numpy(motion[name]) - value).abs().max()) < 1e-3 * float(value.abs().max().clamp_min(1)), name


def test_without_the_package_it_says_what_to_install(components: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mmfa.onnx_export as module

    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PackageError) as caught:
        export_onnx(*components[:1], tmp_path, *components[1:])
    assert caught.value.fix == "pip install 'mmfa[onnx]'"
