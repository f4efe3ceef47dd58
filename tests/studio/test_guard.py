"""Only requests under the server's own name and from its own pages get through."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pipelines.studio.guard import Guard, host_name, is_loopback


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        return await send({"type": "websocket.accept"})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": b"fine"})


def ask(guard: Guard, host: str, origin: str | None = None, kind: str = "http") -> list[dict[str, Any]]:
    headers = [(b"host", host.encode())] + ([(b"Origin", origin.encode())] if origin is not None else [])
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(guard({"type": kind, "headers": headers}, None, send))  # type: ignore[arg-type]
    return sent


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1:7860", "[::1]:7860", "LOCALHOST", "127.0.0.1"])
def test_the_loopback_names_are_known(host: str) -> None:
    assert ask(Guard(_app), host)[0]["status"] == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.168.1.2:7860", "", "[", "127.0.0.1.evil.example:80"])
def test_other_names_are_refused(host: str) -> None:
    assert ask(Guard(_app), host)[0]["status"] == 421
    assert ask(Guard(_app), host, kind="websocket") == [{"type": "websocket.close", "code": 1008}]


def test_other_sites_are_refused_also_on_web_sockets() -> None:
    guard = Guard(_app)
    for origin in ("http://evil.example", "http://127.0.0.1:9999", "null"):
        assert ask(guard, "127.0.0.1:7860", origin)[0]["status"] == 403
        assert ask(guard, "127.0.0.1:7860", origin, "websocket")[0]["type"] == "websocket.close"
    assert ask(guard, "127.0.0.1:7860", "http://127.0.0.1:7860")[0]["status"] == 200
    assert ask(guard, "127.0.0.1:7860", "http://127.0.0.1:7860", "websocket")[0]["type"] == "websocket.accept"


def test_a_server_on_the_network_answers_to_addresses_and_given_names_but_to_no_other_name() -> None:
    guard = Guard(_app, ["studio.lan"], any_address=True)
    assert ask(guard, "192.168.1.2:80")[0]["status"] == 200
    assert ask(guard, "studio.lan")[0]["status"] == 200
    assert ask(guard, "evil.example")[0]["status"] == 421


def test_answers_carry_headers_that_keep_everything_here() -> None:
    headers = dict(ask(Guard(_app), "localhost")[0]["headers"])
    assert headers[b"x-own"] == b"1"
    policy = headers[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert "http:" not in policy
    assert "https:" not in policy
    assert "frame-ancestors 'none'" in policy


def test_names_and_loopback() -> None:
    assert host_name("[::1]:80") == "::1"
    assert host_name("A.b:80") == "a.b"
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.1.2.3", "::1"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.org"]))
