"""The nodes for ComfyUI: loaded and checked as ComfyUI does, run in a graph on the disc system."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from disc_face import Disc, disc_registry, draw
from disc_media import disc_plan, swinging

import mmfa
from mmfa_components.errors import NoFaceError

FOLDER = Path(__file__).parents[2] / "integrations" / "comfyui"
WIDGETS = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


@pytest.fixture(scope="module")
def package() -> Iterator[ModuleType]:
    """The folder as ComfyUI imports custom nodes: under a name made of its path."""
    name = str(FOLDER).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, FOLDER / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    for known in [key for key in sys.modules if key.startswith(name)]:
        del sys.modules[known]


@pytest.fixture
def predictor(tmp_path: Path) -> Iterator[mmfa.Predictor]:
    plan = disc_plan(tmp_path, [], [], transfer={"reference": "auto"})
    with mmfa.Predictor(plan.pipeline, disc_registry()) as made:
        yield made


def image(*discs: Disc) -> torch.Tensor:
    return torch.stack([draw([disc], 160, 120) for disc in discs]).float() / 255


def execute(package: ModuleType, name: str, **given: Any) -> tuple[Any, ...]:
    """Run a node as ComfyUI does: inputs by name, else the defaults of its widgets."""
    node = package.NODE_CLASS_MAPPINGS[name]
    values: dict[str, Any] = {}
    for group in node.INPUT_TYPES().values():
        for key, (kind, *facts) in group.items():
            if key in given:
                values[key] = given[key]
            elif isinstance(kind, list):
                values[key] = facts[0].get("default", kind[0]) if facts else kind[0]
            else:
                values[key] = facts[0]["default"]
    assert set(given) <= set(values)
    made = getattr(node(), node.FUNCTION)(**values)
    assert isinstance(made, tuple)
    assert len(made) == len(node.RETURN_TYPES)
    for value, kind in zip(made, node.RETURN_TYPES, strict=True):
        if kind == "IMAGE":
            assert value.dtype == torch.float32
            assert value.ndim == 4
            assert value.shape[3] == 3
            assert 0 <= float(value.min()) <= float(value.max()) <= 1
    return made


def test_every_node_keeps_to_the_interface(package: ModuleType) -> None:
    nodes = package.NODE_CLASS_MAPPINGS
    assert set(nodes) == set(package.NODE_DISPLAY_NAME_MAPPINGS)
    given = {kind for node in nodes.values() for kind in node.RETURN_TYPES} | {"IMAGE"}
    for node in nodes.values():
        assert isinstance(node.CATEGORY, str)
        assert all(isinstance(kind, str) for kind in node.RETURN_TYPES)
        assert len(node.RETURN_NAMES) == len(node.RETURN_TYPES)
        groups = node.INPUT_TYPES()
        assert set(groups) <= {"required", "optional", "hidden"}
        method = inspect.signature(getattr(node, node.FUNCTION)).parameters
        free = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in method.values())
        for group in groups.values():
            for key, declared in group.items():
                assert key in method or free, key
                kind, facts = declared[0], declared[1] if len(declared) > 1 else {}
                if isinstance(kind, list):
                    assert all(isinstance(choice, str) for choice in kind)
                    assert facts.get("default", kind[0]) in kind
                elif kind in WIDGETS:
                    assert isinstance(facts["default"], WIDGETS[kind])
                    if "min" in facts:
                        assert facts["min"] <= facts["default"] <= facts["max"]
                else:
                    assert kind in given, kind
        required = {k for k, p in method.items() if p.default is p.empty} - {"self", "options"}
        assert required <= set(groups["required"])


def test_load(package: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(mmfa, "load", lambda *given: asked.append(given) or "it", raising=False)
    assert execute(package, "MMFALoad", animator=" toy ") == ("it",)
    assert asked == [("auto", "toy")]


def test_animate(package: ModuleType, predictor: mmfa.Predictor) -> None:
    portrait = image(Disc(70, 60, 22, yaw=0.1, tint=0.3))
    driving = image(*[discs[0] for discs in swinging(6)])
    (frames,) = execute(package, "MMFAAnimate", mmfa=predictor, portrait=portrait, driving=driving)
    assert frames.shape == (6, 64, 64, 3)
    me = predictor.portrait((portrait[0] * 255).round().to(torch.uint8))
    array = (driving * 255).round().to(torch.uint8)
    plain = list(predictor.animate(me, array.numpy()))
    assert torch.equal((frames[3] * 255).round().to(torch.uint8), torch.from_numpy(plain[3]))
    still = {"pose": "source", "expression": "source", "paste": True}
    (held,) = execute(
        package, "MMFAAnimate", mmfa=predictor, portrait=portrait, driving=driving, **still
    )
    assert held.shape == (6, 120, 160, 3)
    assert torch.equal(held[0], held[5])


def test_edit_takes_batches(package: ModuleType, predictor: mmfa.Predictor) -> None:
    two = image(Disc(70, 60, 22), Disc(90, 60, 24, tint=0.8))
    (rest,) = execute(package, "MMFAEdit", mmfa=predictor, image=two)
    (turned,) = execute(package, "MMFAEdit", mmfa=predictor, image=two, yaw=15.0)
    assert rest.shape == turned.shape == (2, 64, 64, 3)
    assert float((rest - turned).abs().mean()) > 0.005
    (whole,) = execute(package, "MMFAEdit", mmfa=predictor, image=two, yaw=15.0, paste=True)
    assert whole.shape == (2, 120, 160, 3)


def test_mistakes_are_ours_to_tell(package: ModuleType, predictor: mmfa.Predictor) -> None:
    with pytest.raises(NoFaceError, match="no face"):
        execute(package, "MMFAEdit", mmfa=predictor, image=torch.zeros(1, 60, 60, 3))


def test_progress_and_stopping(
    package: ModuleType, predictor: mmfa.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Exception):  # noqa: N818 - as ComfyUI's is called
        pass

    steps: list[int] = []

    def check() -> None:
        if len(steps) == 2:
            raise Interrupted

    bar = SimpleNamespace(update=steps.append)
    management = SimpleNamespace(throw_exception_if_processing_interrupted=check)
    monkeypatch.setitem(sys.modules, "comfy", ModuleType("comfy"))
    monkeypatch.setitem(sys.modules, "comfy.model_management", management)
    monkeypatch.setitem(sys.modules, "comfy.utils", SimpleNamespace(ProgressBar=lambda total: bar))
    three = image(*[Disc(70, 60, 22)] * 3)
    with pytest.raises(Interrupted):
        execute(package, "MMFAEdit", mmfa=predictor, image=three)
    assert steps == [1, 1]
