"""What went wrong, in words for the user."""

from __future__ import annotations

import errno
import traceback

import torch

from mmfa_components.errors import MMFAError, reason_of
from pipelines.reports.run_report import ErrorReport

FIXES = {
    errno.ENOSPC: "free some space, or choose another output.folder; then run again: finished results are kept",
    errno.EDQUOT: "free some of your quota, or choose another output.folder; then run again",
    errno.EROFS: "choose an output.folder that can be written",
    errno.EACCES: "check the permissions of the file and its folder",
    errno.EPERM: "check the permissions of the file and its folder",
}


def describe(error: Exception, where: str) -> ErrorReport:
    """The report of any exception. Faults of the program keep their traceback in the report, not on the screen."""
    if isinstance(error, MMFAError):
        return ErrorReport.of(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return ErrorReport(type(error).__name__, "out of memory", where, "lower engine.batch or engine.span, or use another device")
    if isinstance(error, OSError):
        file = str(error.filename or where)
        fix = FIXES.get(error.errno or 0, "check the file and the disk, then run again")
        return ErrorReport("OSError", reason_of(error), file, fix)
    trace = "".join(traceback.format_exception(error))
    fix = "this is a fault of the program or of a plugin; the run report holds the traceback"
    return ErrorReport(type(error).__name__, str(error) or type(error).__name__, where, fix, trace)
