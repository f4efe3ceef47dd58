"""Small faces for desks and jobs, and the real studio in a real browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import browser as browsers
import pytest
import torch

from pipelines.media import VideoWriter, open_video

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "pipelines" / "demo"


@attrs.frozen
class Server:
    """A running studio: its address, its process, and the folder all its files lie below."""

    address: str
    process: subprocess.Popen[str]
    temporary: Path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames of a demo clip, far apart."""
    path = tmp_path_factory.mktemp("clip") / "laughing.mp4"
    with open_video(ASSETS / "clips" / "laughing_woman.mp4") as reader:
        info = reader.info
        frames = torch.cat([span.rgb for span in reader.spans(20, 0, 101)])[::20]
    with VideoWriter(path, info.width, info.height, info.time_base, info.rate) as writer:
        step = round(1 / (info.rate * info.time_base))
        writer.write(frames, [index * step for index in range(len(frames))])
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``mmfa studio`` on a free port, with small limits; ended by Ctrl-C, after which nothing may be left."""
    temporary = tmp_path_factory.mktemp("studio")
    command = [sys.executable, "-m", "pipelines.studio", "--port", "0", "--most-image-mb", "2", "--grace", "2", "--set", "engine.device=cpu"]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line + (process.stderr.read() if process.stderr else "")
        yield Server(found[0], process, temporary)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


@pytest.fixture(scope="module")  # not longer: as long as it lives, no other event loop can run in its thread
def chromium() -> Iterator[Any]:
    """A headless browser; its absence fails the tests, it never skips them."""
    from playwright.sync_api import sync_playwright

    program = browsers.find_browser()
    if program is None:
        pytest.fail(f"there is no browser: run python tests/browser.py, or {browsers.FIX}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
