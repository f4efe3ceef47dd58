"""The whole evaluation on a few real frames with the shipped system, and an ablation of tiny networks."""

from __future__ import annotations

import json
import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from rich.console import Console
from tiny_training import SIDE, judges, use_tiny_preset, write_dataset

from mmfa_components.errors import ConfigError, PluginError
from mmfa_components.kinds import ComponentSpec, Context, MetricFacts
from mmfa_components.records import Frames
from mmfa_components.registry import Plugin, Registry, load_registry
from mmfa_components.weights import WeightsFile
from pipelines.evaluation.ablation import ablate
from pipelines.evaluation.cases import Cases
from pipelines.evaluation.remember import RememberingDetector, RememberingLandmarks, build_metrics, sharing
from pipelines.evaluation.session import EvaluateReport
from pipelines.kinds.ablate import KIND as ABLATE
from pipelines.kinds.evaluate import KIND
from pipelines.media import VideoWriter, open_video
from pipelines.runs.progress import Step, watched
from pipelines.training.report import report_of
from pipelines.training.session import run_session

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "pipelines" / "demo"
SMALL = (
    "frames.limit=2", "control.steps=3", "temporal.frames=4", "output.resamples=100", "output.worst=2", 'engine.precision="float32"',
    'engine.device="cpu"',
)  # fmt: skip


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames of a real clip, far apart."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    with open_video(ASSETS / "clips" / "smiling_man.mp4") as reader:
        info = reader.info
        frames = torch.cat([span.rgb for index, span in enumerate(reader.spans(1, 0, 61)) if index % 12 == 0])
    with VideoWriter(path, info.width, info.height, info.time_base, info.rate, quality=12) as writer:
        step = round(1 / (info.rate * info.time_base))
        writer.write(frames, [i * step for i in range(len(frames))])
    return path


def overrides(folder: Path, clip: Path, *more: str) -> list[str]:
    inputs = [f'inputs.clips=["{clip}", "{ROOT / "tests/data/no_face.mp4"}"]', f'inputs.portraits=["{ASSETS / "portraits/hiker.jpg"}"]']
    return [*SMALL, *inputs, f'output.folder="{folder / "out"}"', f'cache.folder="{folder / "cache"}"', *more]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, registry: Registry, clip: Path) -> tuple[Path, list[str], EvaluateReport]:
    folder = tmp_path_factory.mktemp("evaluation")
    given = overrides(folder, clip)
    plan = KIND.load(ROOT / "pipelines/evaluate.toml", given, registry)
    report: Any = KIND.run(plan, registry, Console(file=StringIO()))
    return folder / "out", given, report


def figure(report: EvaluateReport, row: str, key: str, table: str = "") -> float:
    plain = next(t.plain() for t in report.tables if t.title.startswith(table))
    cells = next(r["figures"] for r in plain["rows"] if r["name"] == row)
    return float(cells[key]["value"])


def test_reference_rows_bound_the_animator(run: tuple[Path, list[str], EvaluateReport]) -> None:
    _, _, report = run
    assert figure(report, "driving frame itself", "same/psnr") == float("inf")
    assert figure(report, "driving frame itself", "same/akd") == figure(report, "driving frame itself", "cross/apd") == 0
    assert figure(report, "mmfa", "same/psnr") > figure(report, "source repeated", "same/psnr") > 10
    assert figure(report, "mmfa", "same/akd") < figure(report, "source repeated", "same/akd")
    assert 0 < figure(report, "mmfa", "cross/apd") < 0.3
    assert figure(report, "mmfa", "jitter", "Steadiness") > 0
    assert figure(report, "driving frame itself", "same/mouth correlation", "Mouth and eyes") == pytest.approx(1)
    assert 0.3 < figure(report, "mmfa", "same/mouth correlation", "Mouth and eyes") <= 1  # of two frames of a smiling man
    control = report.control["mmfa"]
    assert (control.portraits, control.results) == (1, 21)
    assert 0.9 < float(control.slope[4]) < 1.1  # x is moved as asked
    assert bool(control.leakage[:, 7].isnan().all())  # no metric of identity was asked for


def test_a_bad_clip_fails_alone(run: tuple[Path, list[str], EvaluateReport]) -> None:
    _, _, report = run
    assert {f.name.split(" x ")[-1] for f in report.failures} == {"no_face.mp4"}
    assert all("no face was found" in f.error.what for f in report.failures)
    assert report.exit_code == 1
    assert report.cases == 3 + 3 + 2 + 1


def test_files_hold_everything(run: tuple[Path, list[str], EvaluateReport]) -> None:
    folder, _, report = run
    assert "| mmfa |" in (folder / "tables.md").read_text(encoding="utf-8")
    assert (folder / "tables.csv").read_text(encoding="utf-8").count("table,row,protocol") == 1
    plain = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert plain["format"] == "mmfa-evaluation/1"
    assert len(plain["control"]["mmfa"]["targets"]) == 13
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 6  # a plot of each table, and matrix and curves of control
    assert "| mmfa − source repeated |" in (folder / "tables.md").read_text(encoding="utf-8")
    assert "mmfa − source repeated" in page
    assert page.count("data:image/jpeg;base64,") >= 3
    assert "<script" not in page
    for outside in ('src="http', 'href="http', "url(http"):
        assert outside not in page
    assert "Failed" in page
    tables = {"tables.md", "tables.csv", "evaluation.json", "report.html"}
    assert {Path(f).name for f in report.files.values()} == tables | {"control_matrix_mmfa.png", "control_curves_mmfa.png"}
    assert all(Path(f).stat().st_size > 1000 for f in report.files.values())


def test_a_second_run_measures_nothing_anew(run: tuple[Path, list[str], EvaluateReport], registry: Registry) -> None:
    _, given, first = run
    again: Any = KIND.run(KIND.load(ROOT / "pipelines/evaluate.toml", given, registry), registry, Console(file=StringIO()))
    assert again.measured_before == again.cases == first.cases
    assert [t.plain() for t in again.tables] == [t.plain() for t in first.tables]


def test_ctrl_c_keeps_what_is_measured(
    run: tuple[Path, list[str], EvaluateReport], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, given, first = run
    measured = Cases.row

    def stopped(self: Cases, row: str, runner: Any) -> None:
        if row == "mmfa":
            raise KeyboardInterrupt
        measured(self, row, runner)

    monkeypatch.setattr(Cases, "row", stopped)
    shutil.copytree(folder / "parts", tmp_path / "out" / "parts")
    more = [*given, f'output.folder="{tmp_path / "out"}"']
    report: Any = KIND.run(KIND.load(ROOT / "pipelines/evaluate.toml", more, registry), registry, Console(file=StringIO()))
    assert (report.exit_code, report.interrupted, report.control) == (130, True, {})
    assert figure(report, "source repeated", "same/psnr") == figure(first, "source repeated", "same/psnr")
    assert "interrupted: not all cases are in the tables" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_progress_names_the_case_whose_frames_are_made(tmp_path: Path, clip: Path, registry: Registry) -> None:
    given = [*overrides(tmp_path, clip), "same.run=false", "cross.run=false", "temporal.run=false", 'metrics=["psnr"]']
    steps: list[Step] = []
    with watched(steps.append):
        assert KIND.run(KIND.load(ROOT / "pipelines/evaluate.toml", given, registry), registry, Console(file=StringIO())).exit_code == 0
    assert any(step.text == "encode hiker.jpg" for step in steps)
    assert max(step.count for step in steps if step.text == "encode hiker.jpg") <= 1
    assert max(step.count for step in steps if step.text == f"mmfa, control: hiker.jpg x {clip.name}") > 1


def test_a_metric_that_says_nothing_of_itself_is_refused(registry: Registry) -> None:
    own = load_registry()
    spec = ComponentSpec("metric", "mute", lambda options, context: lambda results, references: None)
    own.add(Plugin("mute", "tests", "1", "mute", (spec,)))
    with pytest.raises(PluginError, match="says nothing of itself"):
        build_metrics(("psnr", "mute"), {}, own, sharing(own.context("cpu")))


@attrs.frozen
class GapOptions:
    """Options of the metric below: ``more`` is added to every figure."""

    more: float = 0.0


class Gap:
    """Mean absolute difference of two images."""

    facts = MetricFacts("Gap", "mean absolute difference", "0 to 1", "none", False)

    def __init__(self, options: GapOptions, context: Context) -> None:
        self.more = options.more

    def __call__(self, results: Frames, references: Frames) -> torch.Tensor:
        return (results.rgb - references.rgb).abs().mean((1, 2, 3)) + self.more


def test_one_metric_with_two_sets_of_options_stands_in_two_columns(tmp_path: Path, clip: Path) -> None:
    own = load_registry()
    own.add(Plugin("gap", "tests", "1", "gap", (ComponentSpec("metric", "gap", Gap, options=GapOptions),)))
    columns = ['metrics=["gap:raised", "psnr", "gap"]', 'metric_options={"gap:raised" = {more = 2.0}}']
    given = [*overrides(tmp_path, clip), "cross.run=false", "control.run=false", "temporal.run=false", *columns]
    report: Any = KIND.run(KIND.load(ROOT / "pipelines/evaluate.toml", given, own), own, Console(file=StringIO()))
    assert [c.title for c in report.tables[0].columns] == ["PSNR", "Gap, raised", "Gap", "no face, %"]
    for row in ("source repeated", "mmfa"):
        assert figure(report, row, "same/gap") > 0
        assert figure(report, row, "same/gap:raised") == pytest.approx(figure(report, row, "same/gap") + 2.0)
    notes = [note.partition(":")[0] for note in report.tables[0].notes]
    assert {"Gap", "Gap, raised"} <= set(notes)
    again: Any = KIND.run(KIND.load(ROOT / "pipelines/evaluate.toml", given, own), own, Console(file=StringIO()))
    assert again.measured_before == report.cases


def test_networks_see_each_image_once(registry: Registry) -> None:
    context = registry.context("cpu")
    plain = [context.build(kind, "facemesh", None) for kind in ("face_detector", "landmark_detector")]
    seen: list[int] = []

    def counted(component: Any) -> Any:
        return lambda frames, *rest: (seen.append(len(frames)), component(frames, *rest))[1]

    from mmfa_components.perception.faces import FaceReader
    from mmfa_components.records import Frames
    from pipelines.media import read_image

    rgb = read_image(ASSETS / "portraits/hiker.jpg").rgb.permute(2, 0, 1)[None].float() / 255
    small = torch.nn.functional.interpolate(rgb, (256, 256), mode="bilinear", antialias=True)
    batch = Frames(torch.cat([small, torch.zeros_like(small), small, small.flip(-1)]))
    read = FaceReader(RememberingDetector(counted(plain[0])), RememberingLandmarks(counted(plain[1])))
    with torch.inference_mode():
        points, found = read(batch)
        again, _ = read(Frames(batch.rgb[[3, 0]]))
        wanted, also = FaceReader(*plain)(batch)
    assert seen == [3, 2]  # three images of four are new, two of them show a face
    assert found.tolist() == also.tolist() == [True, False, True, True]
    torch.testing.assert_close(points, wanted, equal_nan=True, atol=1e-2, rtol=0)
    torch.testing.assert_close(again, points[[3, 0]])


# ---- ablation --------------------------------------------------------------------------------------------------------
@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A training file for the tiny preset on a data set of noise."""
    use_tiny_preset()
    write_dataset(tmp_path / "data")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "vgg16_features.safetensors").write_bytes(b"never read: the test has its own judges")
    monkeypatch.setenv("MMFA_WEIGHTS", str(tmp_path / "weights"))
    file = tmp_path / "train.toml"
    file.write_text(
        'kind = "train"\nmodel.preset = "tiny"\ndata.folder = "{here}/data"\n'
        '[run]\ndevice = "cpu"\nsteps = 2\nbatch = 2\nlog = 0\npicture = 0\ntensorboard = false\n', encoding="utf-8",
    )  # fmt: skip
    return file


def ablation(folder: Path, training: Path, clip: Path, *variants: str) -> Path:
    evaluation = [*overrides(folder, clip), "control.run=false", "temporal.run=false", f'inputs.clips=["{clip}"]', 'metrics=["psnr", "akd"]']
    file = folder / "ablate.toml"
    lines = ['kind = "ablate"', f'folder = "{folder / "ablation"}"', f'train = "{training}"', f'evaluate = "{ROOT / "pipelines/evaluate.toml"}"']
    file.write_text("\n".join([*lines, f"evaluate_set = {evaluation!r}", *variants]) + "\n", encoding="utf-8")
    return file


def table(label: str, *changes: str) -> str:
    return f'[[variants]]\nlabel = "{label}"\nset = {list(changes)!r}'


def test_variants_are_trained_alike_and_measured_side_by_side(tmp_path: Path, training: Path, clip: Path) -> None:
    registry = load_registry()
    registry.add(Plugin("tiny", "tests", "1", "tiny", weights=(WeightsFile("mmfa_tiny", tmp_path / "none.safetensors", "mmfa/tiny/3"),)))
    none = ("losses.landmarks=0.0",)
    file = ablation(tmp_path, training, clip, table("base", "losses.representation=0.0", *none), table("+ L_ssl", *none))
    plan = ABLATE.load(file, (), registry)
    console = Console(file=StringIO(), width=200)
    console.print(ABLATE.describe(plan, registry))
    assert SIDE == 64

    def train(plan: Any, registry: Registry, console: Console) -> Any:
        result = run_session(plan.pipeline, console, judges=judges())
        return report_of(plan.pipeline, result, registry, console)

    report = ablate(plan, registry, console, train)
    assert report.exit_code == 0, report.evaluation and report.evaluation.failures
    assert [r["steps"] for r in report.trainings.values()] == [2, 2]
    assert report.evaluation is not None
    made = report.evaluation.tables[0]
    assert made.title == "Ablation (layout of the paper's Table 2)"
    assert [r.name for r in made.rows] == ["source repeated", "driving frame itself", "base", "+ L_ssl"]
    assert "2 steps of 2 pairs (4 pairs), preset tiny" in made.notes[0]
    psnr = [figure(report.evaluation, name, "same/psnr") for name in ("base", "+ L_ssl")]
    assert all(0 < value < 40 for value in psnr)
    assert psnr[0] != psnr[1]
    assert json.loads(report.to_json())["format"] == "mmfa-ablation/1"


def test_unequal_budgets_are_faults(tmp_path: Path, training: Path, clip: Path) -> None:
    file = ablation(tmp_path, training, clip, table("a", "losses.landmarks=0.0"), table("a", "run.steps=9", "losses.landmarks=0.0"), table("b"))
    with pytest.raises(ConfigError) as caught:
        ABLATE.load(file, (), load_registry())
    told = str(caught.value)
    assert "'a' is the name of two rows" in told
    assert "changes the data, the model, the optimiser or the run" in told
    assert "the loss 'landmarks' would start at step 2000 of 2" in told
