"""For all tests: Ctrl-C is heard. A shell's background jobs ignore it, and so would the programs that tests start and interrupt."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Give SIGINT its usual meaning back; children inherit that it is not ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
