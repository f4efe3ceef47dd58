"""The registry: what plugins hand over is checked, broken ones do no harm, components are built by kind and name."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import attrs
import pytest

from mmfa_components import records as r
from mmfa_components.errors import ConfigError, MMFAError, PluginError, did_you_mean, reason_of
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import KINDS, ComponentSpec, KindSpec, NoOptions
from mmfa_components.records import Record
from mmfa_components.registry import DISABLE_VARIABLE, Plugin, Registry, inspect_plugin, load_registry, make_options
from mmfa_components.weights import WeightsFile


@attrs.frozen
class Deep:
    width: int = attrs.field(default=1, validator=attrs.validators.gt(0))


@attrs.frozen
class Options:
    ratio: float = attrs.field(default=0.5, validator=attrs.validators.le(1.0))
    sizes: tuple[int, ...] = (1,)
    deep: Deep = attrs.field(factory=Deep)


@attrs.frozen(eq=False)
class Extra(Record):
    """A record of a plugin's own."""

    value: Any = r.tensor("N")


def spec(name: str = "one", kind: str = "metric", **more: Any) -> ComponentSpec:
    return ComponentSpec(kind, name, lambda options, context: (options, context.device.type), (r.Frames,), (), Options, **more)


def module(**functions: Any) -> types.SimpleNamespace:
    """A plugin object whose hooks return the given values."""

    def hook(value: Any) -> Any:
        return lambda: value

    return types.SimpleNamespace(**{name: hookimpl(hook(value)) for name, value in functions.items()})


def loaded(**functions: Any) -> Plugin:
    return inspect_plugin(Plugin("p", "dist", "1.0", "target"), module(**functions))


def test_hooks_are_collected() -> None:
    file = WeightsFile("w", Path("w.safetensors"), "a/1")
    plugin = loaded(mmfa_components=[spec()], mmfa_weights=[file], mmfa_records=[Extra])
    assert [c.name for c in plugin.components] == ["one"]
    assert (plugin.weights, plugin.records, plugin.broken) == ((file,), (Extra,), False)


@attrs.frozen
class Required:
    size: int


@pytest.mark.parametrize(
    ("functions", "words"),
    [
        ({}, "implements none of the hooks"),
        ({"mmfa_components": ["no spec"]}, "which is no ComponentSpec"),
        ({"mmfa_weights": [spec()]}, "which is no WeightsFile"),
        ({"mmfa_records": [Extra, int]}, "which is no record class"),
        ({"mmfa_components": [spec(), spec()]}, "same name twice: metric 'one'"),
        ({"mmfa_components": [attrs.evolve(spec(), options=dict)]}, "no attrs class"),
        ({"mmfa_components": [attrs.evolve(spec(), options=Required)]}, "no default: size"),
        ({"mmfa_components": [attrs.evolve(spec(), factory=3)]}, "cannot be called"),
        ({"mmfa_components": [attrs.evolve(spec(), gives=(int,))]}, "which is no record class"),
    ],
)
def test_what_a_plugin_hands_over_is_checked(functions: dict[str, Any], words: str) -> None:
    with pytest.raises(PluginError) as caught:
        loaded(**functions)
    assert words in str(caught.value)
    assert "target" in str(caught.value)


def test_wrong_hook_signatures_and_misspelt_hooks_are_refused() -> None:
    wrong = types.SimpleNamespace(mmfa_components=hookimpl(lambda config: [spec()]))
    with pytest.raises(Exception, match="config"):
        inspect_plugin(Plugin("p", "d", "1", "t"), wrong)
    misspelt = types.SimpleNamespace(mmfa_component=hookimpl(lambda: [spec()]))
    with pytest.raises(Exception, match="mmfa_component"):
        inspect_plugin(Plugin("p", "d", "1", "t"), misspelt)


def test_a_clash_breaks_the_later_plugin_only() -> None:
    registry = Registry()
    registry.add(loaded(mmfa_components=[spec()], mmfa_records=[Extra]))
    registry.add(attrs.evolve(loaded(mmfa_components=[spec(), spec("two")], mmfa_records=[Extra]), name="q"))
    assert [p.name for p in registry.plugins if p.broken] == ["q"]
    assert "metric 'one'" in registry.plugins[1].error
    assert "record 'Extra'" in registry.plugins[1].error
    assert registry.names("metric") == ["one"]
    assert registry.owners["metric", "one"].name == "p"


def test_unknown_components_get_a_did_you_mean_and_broken_plugins_are_named() -> None:
    registry = Registry()
    registry.add(loaded(mmfa_components=[spec("sharpness")]))
    registry.add(Plugin("lost", "d", "1", "t", error="Traceback"))
    with pytest.raises(PluginError, match=r"did you mean 'sharpness'.*broken plugins: lost"):
        registry.spec("metric", "sharpnes")
    with pytest.raises(PluginError, match="did you mean 'metric'"):
        registry.spec("metrc", "sharpness")


def test_components_are_built_with_options_as_mapping_instance_or_none() -> None:
    registry = Registry()
    registry.add(loaded(mmfa_components=[spec()]))
    context = registry.context("cpu")
    assert registry.build("metric", "one", None, context) == (Options(), "cpu")
    assert context.build("metric", "one", Options(0.25)) == (Options(0.25), "cpu")
    given = {"ratio": 0.1, "sizes": [1, 2], "deep": {"width": 4}}
    assert registry.build("metric", "one", given, context)[0] == Options(0.1, (1, 2), Deep(4))
    assert context.spec("metric", "one").name == "one"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rato": 1}, "here: unknown option 'rato'\n  -> did you mean 'ratio'?"),
        ({"ratio": 2.0}, "here: 'ratio' must be <= 1.0: 2.0"),
        ({"deep": {"widht": 1}}, "here.deep: unknown option 'widht'"),
        ({"deep": {"width": 0}}, "here.deep: 'width' must be > 0"),
    ],
)
def test_wrong_options_are_told(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_options(spec(), given, "here")
    assert words in str(caught.value)
    assert "ValueError" not in str(caught.value)


def test_a_plugin_may_bring_a_kind_of_its_own() -> None:
    registry = Registry()
    part = loaded(mmfa_components=[spec(kind="region_predictor")])
    registry.add(part)
    assert "which no plugin brings" in registry.plugins[-1].error
    registry.add(loaded(mmfa_kinds=[KindSpec("region_predictor", "regions from heat maps")]))
    registry.add(part)
    assert registry.spec("region_predictor", "one").kind == "region_predictor"
    registry.add(loaded(mmfa_kinds=[KindSpec("animator", "again")]))
    assert "kind 'animator'" in registry.plugins[-1].error


def test_one_default_a_kind() -> None:
    registry = Registry()
    registry.add(loaded(mmfa_components=[spec("one", default=True), spec("two")]))
    assert registry.spec("metric", "").name == "one"
    registry.add(loaded(mmfa_components=[spec("three", default=True)]))
    assert "default metric" in registry.plugins[-1].error


def test_motions_are_known_by_their_record() -> None:
    registry, points = Registry(), r.MotionKind(Extra)
    assert registry.motion_of(r.RegionalMotion) is r.HEAD
    registry.add(loaded(mmfa_components=[spec("a", kind="animator", motion=points)]))
    assert registry.motions["Extra"] is points
    assert registry.records["Extra"] is Extra
    registry.add(loaded(mmfa_components=[spec("b", kind="animator", motion=r.MotionKind(Extra, smooth=("value",)))]))
    assert "motion 'Extra'" in registry.plugins[-1].error


def test_our_kinds_and_no_options_is_the_default() -> None:
    assert ComponentSpec("metric", "x", print).options is NoOptions
    needed = {
        "face_detector", "landmark_detector", "rotation_estimator", "keypoint_detector", "affine_estimator", "expression_codec", "expression_vae",
        "appearance_extractor", "dense_motion", "generator", "discriminator", "animator", "metric",
    }  # fmt: skip
    assert {kind.name for kind in KINDS} == needed


BAD_PLUGINS = {
    "raises": "raise ImportError('a library is missing')",
    "exits": "import sys; sys.exit(3)",
    "syntax": "def broken(:",
    "wrong_hook": "from mmfa_components.hookspecs import hookimpl\n@hookimpl\ndef mmfa_components(config): return []",
    "clash": (
        "from mmfa_components.hookspecs import hookimpl\nfrom mmfa_components.kinds import ComponentSpec\n@hookimpl\n"
        "def mmfa_components(): return [ComponentSpec('animator', 'mmfa', print)]"
    ),
    "good": (
        "from mmfa_components.hookspecs import hookimpl\nfrom mmfa_components.kinds import ComponentSpec\n@hookimpl\n"
        "def mmfa_components(): return [ComponentSpec('metric', 'good', lambda options, context: 7)]"
    ),
}


def install(folder: Path, plugins: dict[str, str]) -> Path:
    """Distributions as pip leaves them: a module and its metadata with an entry point each."""
    for name, source in plugins.items():
        (folder / f"mmfa_test_{name}.py").write_text(source, encoding="utf-8")
        info = folder / f"mmfa_test_{name}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mmfa-test-{name}\nVersion: 0.1\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[mmfa]\ntest_{name} = mmfa_test_{name}\n", encoding="utf-8")
    return folder


def test_installed_plugins_are_loaded_and_each_broken_one_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, BAD_PLUGINS))
    registry = load_registry()
    errors = {p.name: p.error for p in registry.plugins if p.broken}
    assert set(errors) == {"test_raises", "test_exits", "test_syntax", "test_wrong_hook", "test_clash"}
    assert "a library is missing" in errors["test_raises"]
    assert "Traceback" in errors["test_raises"]
    assert "SystemExit" in errors["test_exits"]
    assert "SyntaxError" in errors["test_syntax"]
    assert "config" in errors["test_wrong_hook"]
    assert "animator 'mmfa'" in errors["test_clash"]
    assert registry.owners["animator", "mmfa"].distribution == "mmfa"  # our own are loaded first
    assert registry.build("metric", "good", None, registry.context("cpu")) == 7
    good = registry.owners["metric", "good"]
    assert (good.distribution, good.version, good.target) == ("mmfa-test-good", "0.1", "mmfa_test_good")
    monkeypatch.setenv(DISABLE_VARIABLE, "test_raises, test_good")
    left = {p.name for p in load_registry().plugins}
    assert "test_clash" in left
    assert not left & {"test_raises", "test_good"}


def test_our_own_systems_come_through_the_same_entry_points() -> None:
    registry = load_registry()
    assert {p.name for p in registry.plugins if p.distribution == "mmfa"} >= {"mmfa", "facemesh", "hopenet", "face_alignment"}
    assert not any(p.broken for p in registry.plugins if p.distribution == "mmfa")
    assert {kind for kind, _ in registry.components} == {kind.name for kind in KINDS}
    assert {kind: registry.default(kind) for kind in ("animator", "rotation_estimator", "metric")} == {
        "animator": "mmfa", "rotation_estimator": "facemesh", "metric": "",
    }  # fmt: skip
    assert registry.spec("animator", "").name == "mmfa"


def test_errors_keep_their_parts_across_processes() -> None:
    import pickle

    error = ConfigError("what", where="where", fix="fix")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.what, again.where, again.fix) == (ConfigError, "what", "where", "fix")
    assert str(again) == "where: what\n  -> fix"
    assert str(MMFAError("only")) == "only"
    assert isinstance(error, ValueError)


def test_did_you_mean() -> None:
    assert did_you_mean("facemsh", ["facemesh", "disc"]) == "did you mean 'facemesh'?"
    assert did_you_mean("xyz", ["b", "a"]) == "known: a, b"
    assert did_you_mean("xyz", []) == "nothing is registered"


def test_reasons_are_one_line_and_never_empty() -> None:
    assert reason_of(OSError(28, "No space left on device", "x.bin")) == "No space left on device"
    assert reason_of(OSError("unexpected end of data")) == "unexpected end of data"  # libraries raise it without a number
    assert reason_of(RuntimeError("first\nsecond")) == "first"
    assert reason_of(TimeoutError()) == "TimeoutError"
