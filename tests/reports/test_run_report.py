"""The run report: exit codes, totals, JSON that reads back, atomic writing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmfa_components.errors import NoFaceError, OutputError
from pipelines.reports.run_report import ErrorReport, InputReport, JobReport, RunReport


def report(*statuses: str) -> RunReport:
    jobs = [JobReport(f"job {i}", "a.png", "b.mp4", f"{i}.mp4", status=s, frames=10, wall=2.0) for i, s in enumerate(statuses)]  # type: ignore[arg-type]
    return RunReport("x.toml", {"kind": "reenact", "origin": Path("x")}, jobs=jobs)


@pytest.mark.parametrize(
    ("statuses", "interrupted", "code"),
    [(["done", "skipped"], False, 0), (["done", "failed"], False, 1), (["done", "left"], True, 130), (["failed"], True, 130)],
)
def test_exit_codes(statuses: list[str], interrupted: bool, code: int) -> None:
    run = report(*statuses)
    run.interrupted = interrupted
    assert run.exit_code == code


def test_totals_count_what_was_made_in_this_run() -> None:
    run = report("done", "done", "skipped", "failed", "left")
    run.inputs = [
        InputReport("b.mp4", "video", cached={"track": True, "motion": True}),
        InputReport("c.mp4", "video", cached={"track": True, "motion": False}),
    ]
    totals = run.totals()
    assert [totals[s] for s in ("done", "skipped", "failed", "left")] == [2, 1, 1, 1]
    assert totals["frames"] == 20
    assert totals["frames_per_second"] == 5.0
    assert totals["cache_hits"] == 3


def test_json_reads_back_with_versions_and_errors(tmp_path: Path) -> None:
    run = report("failed")
    run.jobs[0].error = ErrorReport.of(NoFaceError("no face was found", where="b.mp4", fix="use another"))
    run.write(tmp_path / "deep" / "report.json")
    body = json.loads((tmp_path / "deep" / "report.json").read_text())
    assert body["exit_code"] == 1
    assert body["jobs"][0]["error"] == {
        "kind": "NoFaceError", "what": "no face was found", "where": "b.mp4", "fix": "use another", "trace": "",
    }  # fmt: skip
    assert set(body["versions"]) >= {"python", "torch", "av"}
    assert str(run.jobs[0].error) == "b.mp4: no face was found\n  -> use another"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["report.json"]


def test_a_report_that_cannot_be_written_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        report("done").write(tmp_path / "file" / "report.json")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "report.json").mkdir()
    with pytest.raises(OutputError):
        report("done").write(tmp_path / "folder" / "report.json")
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["report.json"]
