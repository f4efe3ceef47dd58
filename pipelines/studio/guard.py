"""Who may talk to the server: requests under its own name and from its own pages only, and what browsers are told about the answers."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("localhost", "127.0.0.1", "::1")

HEADERS = {
    b"content-security-policy": b"; ".join(
        [
            b"default-src 'self'",
            b"script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # the page's Vue templates are compiled in the browser
            b"style-src 'self' 'unsafe-inline'",
            b"img-src 'self' data: blob:",
            b"media-src 'self' blob:",
            b"font-src 'self' data:",
            b"connect-src 'self' ws: wss:",
            b"object-src 'none'",
            b"base-uri 'none'",
            b"frame-ancestors 'none'",
        ]
    ),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
"""Sent with every answer: nothing is loaded from elsewhere, nothing is guessed, nobody may frame the page."""


def host_name(host: str) -> str:
    """The name or address in a Host header, without port and brackets, in lower case; "" for nonsense."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """True for a name or address that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware around the whole server.

    A request must name one of ``hosts`` (with ``any_address`` also any IP address), so that a foreign site that makes its name point
    here (DNS rebinding) reaches nothing; and when it says which page it comes from, that page must be ours. Web sockets included.
    """

    def __init__(self, app: App, hosts: Iterable[str] = LOOPBACK, any_address: bool = False) -> None:
        self.app, self.hosts, self.any_address = app, frozenset(h.lower() for h in hosts), any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421 or 403 (web socket: refuse) instead of passing on what does not belong here."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        headers = {bytes(k).lower(): bytes(v).decode("latin-1") for k, v in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if not self.known(host_name(host)):
            return await _refuse(scope, send, 421, "This server is not called that. Open the address it printed when it started.")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return await _refuse(scope, send, 403, "Requests from other sites are refused.")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS.items()]
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)

    def known(self, name: str) -> bool:
        """True when the server may be called so."""
        if name in self.hosts:
            return True
        try:
            return self.any_address and ipaddress.ip_address(name) is not None
        except ValueError:
            return False


async def _refuse(scope: Scope, send: Send, status: int, text: str) -> None:
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1008})
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
