"""Where files of URLs lie on this machine. The path says the URL, so that any process on any node can fetch what is missing.

``<stage>/in/<version>/<protocol>/<rest of the URL>`` holds an input; its version is the object's own (such as its ETag), so a
changed object has another path. ``<stage>/out/<protocol>/<rest>`` holds a result until it is uploaded. ``$MMFA_STAGE`` names the
folder (default: in the system's temporary one), ``$MMFA_STAGE_GB`` how much of inputs is kept (default 50).
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import Any

from mmfa_components.errors import ConfigError, MediaError

_URL = re.compile(r"^(?!file://)[a-z][a-z0-9+.\-]*://", re.IGNORECASE)
IN, OUT = "in", "out"


def is_url(text: str) -> bool:
    """Whether a text of a pipeline file is a URL of another place; a ``file://`` URL is a path of this machine."""
    return bool(_URL.match(text))


def stage_folder() -> Path:
    """The folder that holds staged files."""
    return Path(os.environ.get("MMFA_STAGE", "") or Path(tempfile.gettempdir()) / "mmfa-stage")


def open_file_system(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it. Raises ConfigError when the package for it is not installed."""
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        fix = "pip install 'mmfa[cloud]' brings S3; others need fsspec's package of theirs"
        raise ConfigError(f"cannot be opened ({error})", where=url, fix=fix) from error
    return system, str(path)


def list_urls(pattern: str) -> list[str]:
    """The URLs behind one that may hold ``*`` and the like, sorted; none when nothing is there. Raises ConfigError, OSError."""
    system, path = open_file_system(pattern)
    protocol = pattern.split("://", 1)[0]
    if glob.has_magic(path):
        return sorted(f"{protocol}://{_stripped(found)}" for found in system.glob(path))
    return [pattern] if system.isfile(path) else []


def staged_input(url: str) -> Path:
    """Where an input of this URL, in the version that is there now, lies once it is staged. Raises OSError when it cannot be asked."""
    protocol, rest = url.split("://", 1)
    return stage_folder() / IN / _version(url) / protocol / _stripped(rest)


def staged_output(url: str) -> Path:
    """Where results for this URL lie until they are uploaded."""
    protocol, rest = url.split("://", 1)
    return stage_folder() / OUT / protocol / _stripped(rest)


def is_staged(path: Path, part: str = "") -> bool:
    """Whether a path stands for a URL (``part``: only as IN or OUT)."""
    return path.is_relative_to(stage_folder() / part)


def url_of(path: Path) -> str:
    """The URL that a staged path stands for."""
    parts = path.relative_to(stage_folder()).parts
    protocol, *rest = parts[2:] if parts[0] == IN else parts[1:]
    return f"{protocol}://{'/'.join(rest)}"


def present(path: Path) -> Path:
    """``path`` itself, fetched first when it stands for a URL and is not there yet. Raises MediaError, OSError for a full disk."""
    path = Path(path)
    if not is_staged(path) or path.exists():
        if is_staged(path, IN):
            with contextlib.suppress(OSError):
                os.utime(path)
        return path
    url = url_of(path)
    system, source = open_file_system(url)
    _make_room()
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        system.get_file(source, str(partial))
        if is_staged(path, IN) and path.relative_to(stage_folder() / IN).parts[0] != _version(url):
            raise MediaError("was changed while it was being used", where=url, fix="run again")
        partial.replace(path)
    except FileNotFoundError as error:
        raise MediaError("is not there any more", where=url, fix="check the URL") from error
    except OSError as error:
        if error.errno:  # of this machine, such as a full disk
            raise
        raise MediaError(f"cannot be fetched ({error})", where=url, fix="check the connection and your permissions") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _version(url: str) -> str:
    system, path = open_file_system(url)
    info = system.info(path)
    known = [info.get(k) for k in ("ETag", "etag", "md5Hash", "size", "mtime", "LastModified", "last_modified")]
    return hashlib.sha256(repr(known).encode()).hexdigest()[:16]


def _stripped(path: str) -> str:
    return str(path).lstrip("/")


def _make_room() -> None:
    """Remove the inputs that were used longest ago when more than the limit is staged."""
    limit = float(os.environ.get("MMFA_STAGE_GB", "50")) * 1e9
    with contextlib.suppress(OSError):
        files = sorted(((s := p.stat()).st_atime, s.st_size, p) for p in (stage_folder() / IN).rglob("*") if p.is_file())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= limit:
                return
            path.unlink(missing_ok=True)
            total -= size
