"""What lies in the folder of results and is not ours stays as it is; the other results are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from disc_media import disc_plan
from PIL import Image

from mmfa_components.errors import OutputError
from mmfa_components.registry import Registry
from pipelines.config.schema import Plan
from pipelines.runs.run import run_plan


@pytest.fixture
def plan(tmp_path: Path, media: Any) -> Plan:
    """Two jobs of the disc system."""
    return disc_plan(tmp_path, [media.red, media.blue], [media.short])


def kept(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Image.new("RGB", (8, 8)).save(path)
    else:
        path.write_bytes(b"{}" if path.suffix == ".json" else b"somebody's holiday")
    return path.read_bytes()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_foreign_result_fails_its_job_alone(plan: Plan, registry: Registry, screen: Any, overwrite: bool) -> None:
    output = attrs.evolve(plan.pipeline.output, overwrite=overwrite)
    plan = attrs.evolve(plan, pipeline=attrs.evolve(plan.pipeline, output=output))
    before = kept(plan.jobs[0].output)
    report = run_plan(plan, registry, screen.console)
    assert [job.status for job in report.jobs] == ["failed", "done"]
    assert "was not made by MMFA" in str(report.jobs[0].error)
    assert plan.jobs[0].output.read_bytes() == before
    again = run_plan(plan, registry, screen.console)
    assert again.jobs[1].status == ("done" if overwrite else "skipped")


@pytest.mark.parametrize("name", ["report.json", "contact_sheet.png"])
def test_a_foreign_report_or_sheet_stops_the_run_before_any_work(plan: Plan, registry: Registry, screen: Any, name: str) -> None:
    path = plan.jobs[0].output.with_name(name)
    before = kept(path)
    with pytest.raises(OutputError, match="not overwritten") as caught:
        run_plan(plan, registry, screen.console)
    assert "choose another output." in caught.value.fix
    assert path.read_bytes() == before
    assert not plan.jobs[1].output.exists()


def test_an_empty_file_is_in_nobodys_way(plan: Plan, registry: Registry, screen: Any) -> None:
    plan.jobs[0].output.parent.mkdir(parents=True)
    plan.jobs[0].output.touch()
    assert [job.status for job in run_plan(plan, registry, screen.console).jobs] == ["done", "done"]
