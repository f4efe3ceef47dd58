"""The rules of docs/architecture.md on every file: who may import what, sizes, names, docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("mmfa", "mmfa_components", "plugins", "cache", "pipelines", "benchmarks")
LONGEST = 320

ONLY_IN: dict[str, tuple[str, ...]] = {
    "zarr": ("cache/",),
    "numcodecs": ("cache/",),
    "av": ("pipelines/media/", "benchmarks/demo_clips.py"),
    "c2pa": ("pipelines/media/credentials.py",),
    "ray": ("pipelines/engines/ray",),
    "cattrs": ("pipelines/config/",),
    "pluggy": ("mmfa_components/hookspecs.py", "mmfa_components/registry.py"),
    "face_alignment": ("plugins/face_alignment/",),
    "tflite": ("plugins/facemesh/convert.py",),
    "tomllib": ("pipelines/",),
    "matplotlib": ("pipelines/evaluation/figures.py",),
    "jinja2": ("pipelines/evaluation/document.py",),
    "nicegui": ("pipelines/studio/",),
    "fastapi": ("pipelines/studio/server.py",),
    "uvicorn": ("pipelines/studio/server.py",),
    "platformdirs": ("mmfa_components/folders.py",),
    "shtab": ("mmfa/commands/completion.py",),
    "onnxruntime": ("mmfa/onnx_export.py",),
    "cv2": ("mmfa/cameras.py",),
    "fsspec": ("pipelines/remote/", "cache/remote.py"),
}
"""Libraries that only some rooms may import."""

FLOORS = ("media", "config", "stages", "reports", "engines", "runs", "editing", "training", "evaluation", "studio", "kinds")
"""Rooms of pipelines/ from the ground up: none imports one that stands above it."""


def above(room: str) -> tuple[str, ...]:
    """Modules of the rooms of pipelines/ above ``room``."""
    return tuple(f"pipelines.{name}" for name in FLOORS[FLOORS.index(room) + 1 :])


FAMILIES = tuple(f"mmfa_components.networks.{name}" for name in ("motion", "generators", "critics", "expression"))
"""Networks of systems; the machine that trains knows none of them."""

NEVER: dict[str, tuple[str, ...]] = {
    "mmfa_components/": ("mmfa", "cache", "plugins", "pipelines", "av", "zarr", "cattrs", "rich", "PIL"),
    "mmfa_components/records/": ("mmfa_components.kinds", "mmfa_components.registry", "mmfa_components.geometry", "mmfa_components.networks"),
    "mmfa_components/geometry/": ("mmfa_components.networks", "mmfa_components.perception", "mmfa_components.registry"),
    "mmfa_components/networks/": (
        "os", "pathlib", "io", "safetensors", "mmfa_components.registry", "mmfa_components.weights", "mmfa_components.records",
    ),
    "mmfa_components/metrics/": ("os", "pathlib", "io", "mmfa_components.registry", "mmfa_components.networks"),
    "mmfa_components/losses/": ("os", "pathlib", "io", "mmfa_components.registry", "mmfa_components.weights"),
    "mmfa_components/training/": ("io", "mmfa_components.registry", *FAMILIES),
    "mmfa_components/perception/": ("os", "pathlib", "io", "mmfa_components.registry"),
    "plugins/": ("mmfa", "cache", "pipelines", "zarr", "av"),
    "cache/": ("mmfa", "pipelines", "plugins", "mmfa_components.networks", "mmfa_components.perception"),
    "pipelines/evaluation/": ("plugins", "ray"),
    "pipelines/config/": ("plugins", "cache", *above("config")),
    "pipelines/remote/": ("pipelines.config", "pipelines.media", "cache", "plugins", "torch", *above("media")),
    "pipelines/media/": ("pipelines.config", "mmfa_components.registry", "cache", "plugins", *above("media")),
    "pipelines/stages/": ("plugins", "ray", "rich", *above("stages")),
    "pipelines/engines/": ("plugins", "cache", *above("engines")),
    "pipelines/runs/": ("plugins", "ray", "av", *above("runs")),
    "pipelines/training/": ("plugins", *FAMILIES, *above("training")),
    "pipelines/editing/": ("pipelines.training", "plugins", "ray", "av"),
    "pipelines/studio/": ("pipelines.training", "plugins", "cache", "ray"),
    "pipelines/reports/": ("cache", "plugins", *above("reports")),
}  # fmt: skip
"""What the files under a folder must not import, also inside functions."""


def python_files() -> list[str]:
    """All our source files, relative to the repository."""
    return sorted(str(p.relative_to(ROOT)) for room in ROOMS for p in (ROOT / room).rglob("*.py") if "__pycache__" not in p.parts)


@cache
def tree_of(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"), file)


def imports(file: str) -> set[str]:
    """Modules a file imports anywhere in it; ``from a import b`` counts as a and a.b."""
    found: set[str] = set()
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def uses(imported: set[str], module: str) -> bool:
    return any(name == module or name.startswith(module + ".") for name in imported)


def test_libraries_stay_in_their_rooms() -> None:
    faults = [
        f"{file} imports {library}, which only {', '.join(rooms)} may"
        for file in python_files()
        for library, rooms in ONLY_IN.items()
        if uses(imports(file), library) and not file.startswith(rooms)
    ]
    assert faults == []


def test_rooms_do_not_import_what_lies_below_them() -> None:
    faults = [
        f"{file} imports {module}"
        for file in python_files()
        for folder, forbidden in NEVER.items()
        if file.startswith(folder)
        for module in forbidden
        if uses(imports(file), module)
    ]
    assert faults == []


def test_networks_and_losses_read_and_write_nothing() -> None:
    calls = [
        f"{file}:{node.lineno} calls {name}"
        for file in python_files()
        if file.startswith(("mmfa_components/networks/", "mmfa_components/losses/", "mmfa_components/metrics/", "mmfa_components/geometry/"))
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.Call)
        for name in [node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""]
        if name in ("open", "print", "save_file", "load_file", "read_text", "write_text", "read_bytes", "write_bytes")
    ]
    assert calls == []


def test_the_rules_are_about_folders_that_exist() -> None:
    known = python_files()
    for folder in NEVER:
        assert any(file.startswith(folder) for file in known), folder
    for library in ("zarr", "av", "cattrs", "pluggy"):
        assert any(uses(imports(file), library) for file in known), library


HEAD_FIELDS = {"rotation", "translation", "scale", "expression", "eyes", "mouth"}


def head_fields_read(file: str) -> list[str]:
    """Where a file reads a field of a head's motion by name."""
    return [f"{file}:{node.lineno} .{node.attr}" for node in ast.walk(tree_of(file)) if isinstance(node, ast.Attribute) and node.attr in HEAD_FIELDS]


def test_what_moves_is_known_to_animators_and_edits_only() -> None:
    """Runs, stages, engines and the cache work with any motion: they read no field of one by name."""
    rooms = ("pipelines/runs/", "pipelines/stages/", "pipelines/engines/", "cache/")
    other = "cache/liveportrait.py"  # the numbers of another system's file
    assert [place for file in python_files() if file.startswith(rooms) and file != other for place in head_fields_read(file)] == []


def test_no_module_imports_itself_in_a_circle() -> None:
    """Also inside functions and for types alone."""
    modules = {file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): file for file in python_files()}
    arrows = {name: {m for m in imports(file) if m in modules and m != name} for name, file in modules.items()}
    while arrows:
        ends = {name for name, of in arrows.items() if not of & arrows.keys()}
        assert ends, f"these import each other: {', '.join(sorted(arrows))}"
        arrows = {name: of for name, of in arrows.items() if name not in ends}


def test_files_are_readable_in_one_sitting() -> None:
    lengths = {file: len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in python_files()}
    assert {file: lines for file, lines in lengths.items() if lines > LONGEST} == {}


def test_no_file_is_called_after_nothing() -> None:
    vague = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}
    assert [file for file in python_files() if Path(file).name in vague] == []


def undocumented(file: str) -> Iterator[str]:
    """Public modules, classes, functions and methods of a file without a docstring."""
    tree = tree_of(file)
    if not ast.get_docstring(tree) and tree.body:
        yield file

    def visit(body: list[ast.stmt], prefix: str, protocol: bool) -> Iterator[str]:
        for node in body:
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or node.name.startswith("_"):
                continue
            decorators = {d.attr if isinstance(d, ast.Attribute) else getattr(d, "id", "") for d in node.decorator_list}
            inherited = decorators & {"override", "overload"} or (prefix and node.name == "forward")  # nn.Module's own contract
            is_protocol = isinstance(node, ast.ClassDef) and any(getattr(getattr(base, "value", base), "id", "") == "Protocol" for base in node.bases)
            if not ast.get_docstring(node) and not (protocol or is_protocol or inherited):
                yield f"{file}:{node.lineno} {prefix}{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from visit(node.body, f"{node.name}.", is_protocol)

    yield from visit(tree.body, "", False)


@pytest.mark.parametrize("room", ROOMS)
def test_everything_public_says_what_it_is(room: str) -> None:
    assert [name for file in python_files() if file.startswith(f"{room}/") for name in undocumented(file)] == []


def test_no_two_test_modules_have_one_name() -> None:
    """pytest imports them by name alone."""
    names = [p.name for p in (ROOT / "tests").rglob("*.py") if p.name not in ("conftest.py", "__init__.py") and "__pycache__" not in p.parts]
    assert sorted({name for name in names if names.count(name) > 1}) == []
