"""An evaluation from its plan to its report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table as ScreenTable

from mmfa_components.errors import OutputError, reason_of
from mmfa_components.perception.faces import FaceReader
from mmfa_components.perception.pose import MeshPose
from mmfa_components.registry import Registry
from pipelines.config.schema import as_tables
from pipelines.evaluation.animators import Runner, pipeline_of
from pipelines.evaluation.cases import Cases, Failure, expected, without_control
from pipelines.evaluation.control import ControlResult, summarise
from pipelines.evaluation.differences import differences_table
from pipelines.evaluation.following import following_table
from pipelines.evaluation.ledger import Case, Ledger
from pipelines.evaluation.measure import Instruments
from pipelines.evaluation.remember import build_metrics, sharing
from pipelines.evaluation.scenes import DRIVING_ITSELF, REFERENCES
from pipelines.evaluation.schema import EvaluatePlan
from pipelines.evaluation.tables import Table, comparison_table, steadiness_table
from pipelines.runs.progress import Progress
from pipelines.runs.run import make_progress, writable_folder
from pipelines.stages.components import resolve_device

RESAMPLES_OF_SLOPES = 500


@attrs.define
class EvaluateReport:
    """What came out. tables: of the protocols.  control: by animator.  failures: cases that could not be measured, with the reasons."""

    pipeline_file: str
    settings: dict[str, Any]
    tables: list[Table] = attrs.field(factory=list)
    control: dict[str, ControlResult] = attrs.field(factory=dict)
    failures: list[Failure] = attrs.field(factory=list)
    files: dict[str, str] = attrs.field(factory=dict)
    device: str = ""
    cases: int = 0
    measured_before: int = 0
    interrupted: bool = False
    wall: float = 0.0

    @property
    def exit_code(self) -> int:
        """130 when interrupted, 1 when a case failed, else 0."""
        return 130 if self.interrupted else int(bool(self.failures))

    def to_json(self) -> str:
        """The report as JSON text."""
        body: dict[str, Any] = {"format": "mmfa-evaluation/1", "exit_code": self.exit_code}
        body |= {n: getattr(self, n) for n in ("pipeline_file", "device", "cases", "measured_before", "interrupted", "wall", "files", "settings")}
        body["tables"] = [t.plain() for t in self.tables]
        body["control"] = {name: result.plain() for name, result in self.control.items()}
        body["failures"] = [attrs.asdict(f) for f in self.failures]
        return json.dumps(body, indent=2, default=str, ensure_ascii=False)


def evaluate(plan: EvaluatePlan, registry: Registry, console: Console) -> EvaluateReport:
    """Measure every case of a plan, write tables.md, tables.csv, evaluation.json, report.html and figures of control into ``output.folder``.

    Bad inputs fail alone. Ctrl-C ends the run in good order; the same command goes on where it was.
    Raises ConfigError, PluginError, WeightsError or OutputError before any work, OutputError at the end.
    """
    pipeline, start = plan.pipeline, time.monotonic()
    folder = writable_folder(Path(pipeline.output.folder))
    report = EvaluateReport(str(plan.origin), as_tables(pipeline))
    with make_progress(pipeline_of(pipeline, pipeline.animators[0]), console, expected(plan, registry)) as progress:
        progress.start("load metrics", None)
        instruments = make_instruments(plan, registry)
        report.device = str(instruments.device)
        cases = Cases(plan, registry, instruments, Ledger(folder / "parts"), progress)
        try:
            _measure(plan, registry, cases, progress)
        except KeyboardInterrupt:
            report.interrupted = True
            progress.say("stopping: finished cases are kept; run the same command again to go on")
        progress.start("make tables", None)
        report.failures, report.cases, report.measured_before = cases.failures, len(cases.found), cases.again
        summarise_all(plan, registry, instruments, cases.found, report)
    report.wall = round(time.monotonic() - start, 2)
    _write(plan, report, cases.found, instruments, folder)
    _say(console, report)
    return report


def make_instruments(plan: EvaluatePlan, registry: Registry) -> Instruments:
    """Everything that measures, sharing what it sees. Raises WeightsError or PluginError."""
    p = plan.pipeline
    device = resolve_device(p.engine.device)
    context = sharing(registry.context(device, overrides={n: Path(f) for n, f in p.weights.items()}))
    metrics = build_metrics(p.metrics, p.metric_options, registry, context)
    read = FaceReader(context.build("face_detector", "facemesh", None), context.build("landmark_detector", "facemesh", None))
    return Instruments(metrics, read, MeshPose(read, context.build("rotation_estimator", "facemesh", None)), device)


def _measure(plan: EvaluatePlan, registry: Registry, cases: Cases, progress: Progress) -> None:
    for number, candidate in enumerate(plan.pipeline.animators):
        progress.start(f"load {candidate.title}", None)
        runner = Runner(pipeline_of(plan.pipeline, candidate), registry, progress, lambda text: progress.say(f"warning: {text}"))
        try:
            for row in (*REFERENCES, candidate.title) if number == 0 else (candidate.title,):
                cases.row(row, runner)
        finally:
            runner.close()


def summarise_all(plan: EvaluatePlan, registry: Registry, instruments: Instruments, cases: list[Case], report: EvaluateReport) -> None:
    """Tables and control results of the cases at hand, into the report."""
    p = plan.pipeline
    titles = [c.title for c in p.animators]
    seed, resamples = p.seed, p.output.resamples
    compared = [c for c in cases if c.protocol in ("same", "cross")]
    intervals = f"In brackets: 95 % bootstrap interval over clips ({resamples} resamples, all pairs of a clip together; of sets 100, centred)."
    if compared:
        notes = [*plan.notes, *_counts(plan, compared), intervals, *_crossing(plan), *_uncontrolled(plan, registry)]
        report.tables.append(comparison_table(compared, [*REFERENCES, *titles], instruments.metrics, resamples, seed, notes, plan.title))
    following = following_table(compared, [DRIVING_ITSELF, *titles], resamples, seed, [intervals])
    if following is not None:
        report.tables.append(following)
    steady = [c for c in cases if c.protocol == "temporal"]
    if steady:
        notes = [
            f"{p.temporal.frames} consecutive frames of each of {len({c.clip for c in steady})} clips, where the clip's landmarks travel least; "
            "rebuilt from the clip's first frame, absolute motion.",
            "Jitter: length of the second difference of 68 landmarks (face mesh), mean over points and frames, in pixels of a 256x256 crop a frame "
            "squared; it includes the landmark network's own noise, in both rows.",
            "Breathing: absolute second difference of the logarithm of the head's size, in percent a frame squared.", intervals,
        ]  # fmt: skip
        report.tables.append(steadiness_table(steady, [DRIVING_ITSELF, *titles], resamples, seed, notes))
    differences = differences_table(compared, titles, instruments.metrics, resamples, seed, [intervals])
    if differences is not None:
        report.tables.append(differences)
    for title in titles:
        swept = [c.tensors for c in cases if c.protocol == "control" and c.row == title]
        if swept:
            report.control[title] = summarise([t["measured"] for t in swept], [t["turned"] for t in swept], p.control, RESAMPLES_OF_SLOPES, seed)


def _counts(plan: EvaluatePlan, cases: list[Case]) -> list[str]:
    notes = []
    texts = {"same": "first frame with a face as source, absolute motion", "cross": "frames of a clip drive somebody else's portrait"}
    for protocol, text in texts.items():
        mine = [c for c in cases if c.protocol == protocol]
        if not mine:
            continue
        one = [c for c in mine if c.row == mine[0].row]
        frames, lost = sum(len(c.tensors["face"]) for c in one), sum(int((~c.tensors["reference_face"]).sum()) for c in one)
        of = f"{len({c.clip for c in one})} clips" + (f", {len({c.portrait for c in one})} portraits" if protocol == "cross" else "")
        notes.append(f"{protocol.capitalize()}-identity: {of}, {frames} frames ({text}); the detector finds no face in {lost} driving frames.")
    notes.append("no face: share of results in which the detector finds none; they have no figure in metrics of faces, and count as worst cases.")
    return notes


def _crossing(plan: EvaluatePlan) -> list[str]:
    cross = plan.pipeline.cross
    if not cross.run:
        return []
    named = [f"{name} {mode}" for name, mode in cross.fields.items()]
    modes = ", ".join([*named, f"{'all else' if named else 'everything'} {cross.default}"])
    return [f"Cross-identity transfer: {modes}. The driving frame itself shows another person: its identity figures are a lower bound."]


def _uncontrolled(plan: EvaluatePlan, registry: Registry) -> list[str]:
    left_out = without_control(plan, registry) if plan.pipeline.control.run else []
    return [f"Control is not measured for {', '.join(left_out)}: no head turns in this motion."] if left_out else []


def _write(plan: EvaluatePlan, report: EvaluateReport, cases: list[Case], instruments: Instruments, folder: Path) -> None:
    from pipelines.evaluation.document import control_markdown, control_pictures, html_report

    pictures = control_pictures(report.control, plan.pipeline.control)
    names = {"markdown": "tables.md", "csv": "tables.csv", "json": "evaluation.json", "html": "report.html"}
    report.files = {kind: str(folder / name) for kind, name in names.items()} | {Path(n).stem: str(folder / n) for n in pictures}
    sheets = [t.csv() for t in report.tables]
    texts = {
        "markdown": "\n".join([*(t.markdown() for t in report.tables), *control_markdown(report.control, plan.pipeline.control)]),
        "csv": "".join(s if i == 0 else s.partition("\n")[2] for i, s in enumerate(sheets)),
        "html": html_report(plan, report, cases, instruments.metrics),
        "json": report.to_json() + "\n",
    }
    contents = {names[kind]: text.encode("utf-8") for kind, text in texts.items()} | pictures
    try:
        for name, content in contents.items():
            part = folder / f".{name}.part"
            part.write_bytes(content)
            part.replace(folder / name)
    except OSError as error:
        raise OutputError(f"the report cannot be written ({reason_of(error)})", where=str(folder), fix="free space there") from error


def _say(console: Console, report: EvaluateReport) -> None:
    for table in report.tables:
        screen = ScreenTable(title=table.title)
        screen.add_column("")
        for column in table.columns:
            screen.add_column(f"{column.protocol} {table.heading(column)}".strip(), justify="right")
        for row in table.rows:
            screen.add_row(row.name, *(table.text(row, c, interval=c.signed) for c in table.columns))
        console.print(screen)
    lines = [f"control, {name}: {sum(t.met for t in r.targets)} of {len(r.targets)} targets met" for name, r in report.control.items()]
    lines += [f"  failed: {f.protocol}, {f.row}, {f.name}: {f.error.what}" for f in report.failures]
    lines.append(f"{report.cases} cases ({report.measured_before} measured before), {len(report.failures)} failed, in {report.wall:.1f} s")
    lines += [f"{kind + ':':<10}{path}" for kind, path in report.files.items() if not path.endswith(".png")]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
