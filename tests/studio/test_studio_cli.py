"""The command line of the studio: what is wrong is said before anything is built."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest

from pipelines.studio import __main__ as command


def test_wrong_options_end_with_2_and_say_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["--set", "engine.devic=cpu"], "did you mean 'device'?"),
        (["--set", "engine.name=ray"], "run the recipes on other engines"),
        (["--most-clip-mb", "0"], "at least 1 MB"),
        (["--port", "99999"], "choose another --port"),
        (["--host", "203.0.113.7"], "or --host"),
    ):
        assert command.main(arguments) == 2
        error = capsys.readouterr().err
        assert words in error
        assert "Traceback" not in error


def test_a_port_that_is_taken_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert command.main(["--port", str(taken.getsockname()[1])]) == 2
    assert "cannot listen there" in capsys.readouterr().err


def test_without_nicegui_it_names_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "nicegui", None)
    assert command.main([]) == 2
    assert "pip install 'mmfa[studio]'" in capsys.readouterr().err


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_only_an_address_that_others_reach_is_warned_of(
    host: str, warned: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pipelines.studio.server as server

    started: list[Any] = []

    def serve(studio: Any, listener: Any, host: str, names: Any) -> None:
        started.append(host)
        listener.close()
        studio.sessions.close_all()

    monkeypatch.setattr(server, "serve", serve)
    assert command.main(["--host", host, "--port", "0"]) == 0
    captured = capsys.readouterr()
    assert started == [host]
    assert ("open to the network" in captured.err) is warned
    assert f"http://{host}:" in captured.out
