"""Sessions: what belongs to one open page, in a private folder that goes when the page goes."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path

import attrs

from mmfa_components.errors import OutputError
from mmfa_components.processes import process_alive, process_place

PREFIX = "mmfa-studio-"
_FOLDER = re.compile(rf"^{PREFIX}([0-9a-f]{{8}})-(\d+)-")
MOST_SESSIONS = 24


class CrowdedError(OutputError):
    """Too many pages are open."""


@attrs.frozen
class Kept:
    """A file of a session that its page may fetch, and the name it is saved under."""

    path: Path
    name: str


@attrs.define(eq=False)
class Session:
    """One open page. Files live under names of ours in ``folder`` (mode 0700); a page asks for them by an unguessable key, never by path."""

    token: str
    folder: Path
    files: dict[str, Kept] = attrs.field(factory=dict)
    closed: bool = False

    def offer(self, path: Path, name: str) -> str:
        """The address (path of a URL) under which this session's page can fetch ``path``."""
        key = secrets.token_urlsafe(16)
        self.files[key] = Kept(path, name)
        return f"/studio/{self.token}/file/{key}"

    def forget(self, path: Path) -> None:
        """Take back what was offered of ``path`` and remove it."""
        self.files = {key: kept for key, kept in self.files.items() if kept.path != path}
        path.unlink(missing_ok=True)

    def new_folder(self, name: str) -> Path:
        """An empty folder of the session."""
        folder = self.folder / f"{name}-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        return folder

    def close(self) -> None:
        """Remove everything."""
        self.closed = True
        self.files.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


class Sessions:
    """All sessions of this process, below one private temporary folder."""

    def __init__(self) -> None:
        remove_leftovers(Path(tempfile.gettempdir()))
        self.root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{process_place()}-{os.getpid()}-"))  # mode 0700
        self._open: dict[str, Session] = {}

    def create(self) -> Session:
        """A new session. Raises CrowdedError when too many are open."""
        if len(self._open) >= MOST_SESSIONS:
            raise CrowdedError(f"{MOST_SESSIONS} pages of the studio are open already", fix="close some of them and reload this one")
        session = Session(secrets.token_urlsafe(24), Path(tempfile.mkdtemp(dir=self.root)))
        self._open[session.token] = session
        return session

    def find(self, token: str) -> Session | None:
        """The open session of a token."""
        return self._open.get(token)

    def close(self, session: Session) -> None:
        """End a session and remove its files."""
        self._open.pop(session.token, None)
        session.close()

    def close_all(self) -> None:
        """End all sessions and remove the folder."""
        for session in list(self._open.values()):
            self.close(session)
        shutil.rmtree(self.root, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what studios of this user that were killed left behind in ``folder``."""
    for path in folder.glob(f"{PREFIX}*"):
        match = _FOLDER.match(path.name)
        try:
            own = match and path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.getuid()
        except OSError:
            continue
        if match and own and match[1] == process_place() and not process_alive(int(match[2])):
            shutil.rmtree(path, ignore_errors=True)
