"""For all tests: Ctrl-C is heard, and what is cached by default goes into a folder that is removed at the end.

A shell's background jobs ignore Ctrl-C, and so would the programs that tests start and interrupt.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile

import pytest

from mmfa_components.folders import CACHE_VARIABLE


def pytest_configure(config: pytest.Config) -> None:
    """Give SIGINT its usual meaning back, for children, too; keep away from the user's own motion cache."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ[CACHE_VARIABLE] = folder = tempfile.mkdtemp(prefix="mmfa-tests-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
