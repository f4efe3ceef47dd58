"""The server: the page, uploads and downloads behind one guard, on one port; everything it needs comes from this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from nicegui import Client, ui
from nicegui import app as nicegui_app

from mmfa_components.errors import MediaError, MMFAError
from mmfa_components.registry import Registry
from pipelines.config.schema import Pipeline
from pipelines.runs.failures import describe
from pipelines.studio.desk import problem
from pipelines.studio.guard import LOOPBACK, Guard, is_loopback
from pipelines.studio.page import Page
from pipelines.studio.sessions import Sessions
from pipelines.studio.uploads import Limits, Slot, admit, plain_name, receive
from pipelines.studio.worker import StudioWorker

HERE = Path(__file__).parent


@attrs.define
class Studio:
    """All that the pages share."""

    pipeline: Pipeline
    registry: Registry
    limits: Limits
    grace: float = 15.0
    """Seconds a page may be out of touch before its session ends."""
    sessions: Sessions = attrs.field(factory=Sessions)
    pages: dict[str, Page] = attrs.field(factory=dict)
    worker: StudioWorker = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.worker = StudioWorker(self.pipeline, self.registry)

    def close(self) -> None:
        """Stop all work and remove all files."""
        for page in list(self.pages.values()):
            page.close()
        self.worker.close()
        self.sessions.close_all()


def build(studio: Studio, hosts: Sequence[str] = LOOPBACK, any_address: bool = False) -> Any:
    """The ASGI application of a studio; one a process, for NiceGUI keeps its pages in one place."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.get_running_loop().run_in_executor(None, studio.close)

    server = FastAPI(title="MMFA Studio", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)

    @server.post("/studio/{token}/upload/{slot}")
    async def upload(token: str, slot: Slot, request: Request, name: str = "") -> Response:
        page = studio.pages.get(token)
        if page is None:
            return JSONResponse({"message": "This page is no longer known here.", "fix": "Reload it."}, 404)
        try:
            length = request.headers.get("content-length", "")
            size = int(length) if length.isdecimal() else None
            partial = await receive(page.session, slot, size, request.stream(), studio.limits.of(slot))
            taken = await studio.worker.call(lambda: admit(partial, slot, name))
        except MMFAError as error:
            return JSONResponse(problem(error), 413 if "larger than" in error.what else 415)
        except OSError as error:
            known = describe(error, "")
            return JSONResponse(problem(MediaError(f"The file could not be kept ({known.what})", fix="free some disk space")), 507)
        page.take(slot, taken)
        return JSONResponse({})

    @server.get("/studio/{token}/file/{key}")
    async def file(token: str, key: str, save: bool = False) -> Response:
        session = studio.sessions.find(token)
        kept = session.files.get(key) if session else None
        if kept is None or not kept.path.is_file():
            return Response(status_code=404)
        name = plain_name(kept.name, "clip", kept.path.suffix)
        how = "attachment" if save else "inline"
        return FileResponse(kept.path, filename=name, content_disposition_type=how, headers={"cache-control": "private, no-store"})

    @ui.page("/", title="MMFA Studio")
    def page(client: Client) -> None:
        try:
            session = studio.sessions.create()
        except MMFAError as error:
            ui.label(f"{error.what}; {error.fix}.").classes("notice")
            return
        made = Page(session, studio.worker, studio.limits)
        studio.pages[session.token] = made

        def leave() -> None:
            studio.pages.pop(session.token, None)
            made.close()
            studio.sessions.close(session)

        client.on_delete(leave)

    nicegui_app.add_static_files("/studio-static", HERE / "static")
    ui.run_with(
        server, title="MMFA Studio", dark=True, language="en-US", favicon=HERE / "static" / "icon.svg", tailwind=False,
        reconnect_timeout=studio.grace, show_welcome_message=False,
    )  # fmt: skip
    return Guard(server, hosts, any_address)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError when the port is taken; port 0 is any free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    return listener


def serve(studio: Studio, listener: socket.socket, host: str, names: Sequence[str] = ()) -> None:
    """Serve until Ctrl-C, then stop all work and remove all files."""
    os.environ.setdefault("NICEGUI_STORAGE_PATH", str(studio.sessions.root / "nicegui"))
    loopback = is_loopback(host)
    app = build(studio, [*LOOPBACK, host, *names], any_address=not loopback)
    log = logging.getLogger("nicegui")
    log.setLevel(logging.ERROR)  # a request for a page that is not there is no news
    log.addFilter(lambda record: not str(record.msg).startswith("Could not cancel"))  # open pages at Ctrl-C: they end all the same
    config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=3, server_header=False, ws_max_size=1 << 20)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        studio.close()
