"""What a run leaves for people and programs to read: the run report (JSON) and the contact sheet (PNG)."""

from pipelines.reports.run_report import InputReport, JobReport, RunReport

__all__ = ["InputReport", "JobReport", "RunReport"]
