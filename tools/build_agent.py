"""`python3 -m tools.build_agent`: the agent as a program of its own, and as an archive.

PyInstaller brings along the Python that runs it, so the program runs where the C library is at
least as new as the one it was built on: build on the oldest system that is served.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from agent import VERSION
from tools.steps import (
    CACHE,
    ROOT,
    TRIES,
    StepFailed,
    fingerprint,
    is_done,
    mark_done,
    run,
    say,
    step,
)

DIST = ROOT / "dist"
NAME = f"enjoliver-agent-{VERSION}"
PROGRAM = "enjoliver-agent"
_VENV = CACHE / "agent-venv"
_WORK = CACHE / "agent-build"
_REQUIREMENTS = ROOT / "requirements-agent.txt"
_SECONDS = 180
# Parts of the standard library that the agent never imports, and that weigh.
_LEFT_OUT = ("tkinter", "test", "unittest", "pydoc_data", "lib2to3", "sqlite3", "asyncio", "xml")


def build() -> Path:
    """Build folder and archive; the archive. Raises StepFailed."""
    make_venv()
    with step("Agent", f"building {NAME}"):
        build_folder()
        archive = pack(DIST / NAME, DIST / f"{NAME}-{sys.platform}-{platform.machine()}.tar.gz")
        check(DIST / NAME / PROGRAM)
    return archive


def make_venv() -> None:
    """An environment with PyInstaller, apart from the engine's."""
    key = fingerprint([_REQUIREMENTS, sys.version])
    if is_done("agent-venv", key) and (_VENV / "bin/pyinstaller").exists():
        return
    with step("Agent", "installing what builds it"):
        advice = "Is there a way to the Python package index, and space on the disk?"
        run([sys.executable, "-m", "venv", "--clear", str(_VENV)], advice=advice)
        pip = [str(_VENV / "bin/python"), "-m", "pip", "install", "--quiet"]
        run(
            [*pip, "--disable-pip-version-check", "-r", str(_REQUIREMENTS)],
            advice=advice,
            tries=TRIES,
        )
    mark_done("agent-venv", key)


def build_folder() -> None:
    """`dist/enjoliver-agent-<version>/`, with the program and what it needs beside it."""
    shutil.rmtree(_WORK, ignore_errors=True)
    command = [str(_VENV / "bin/pyinstaller"), "--onedir", "--console", "--noconfirm", "--clean"]
    command += ["--name", PROGRAM, "--paths", str(ROOT), "--log-level", "WARN"]
    command += ["--distpath", str(_WORK / "dist"), "--workpath", str(_WORK / "work")]
    command += ["--specpath", str(_WORK)]
    for module in _LEFT_OUT:
        command += ["--exclude-module", module]
    # Fixed, so that the same sources give the same folder.
    environment = {"PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": "0"}
    advice = "PyInstaller needs Python's shared library (Debian: libpython3-dev) and binutils."
    run([*command, str(ROOT / "agent/__main__.py")], advice=advice, environment=environment)
    shutil.rmtree(DIST / NAME, ignore_errors=True)
    DIST.mkdir(exist_ok=True)
    shutil.move(_WORK / "dist" / PROGRAM, DIST / NAME)


def pack(folder: Path, archive: Path) -> Path:
    """One folder as .tar.gz: names sorted, no times, no owners."""
    new = archive.with_suffix(".new")
    with (
        new.open("wb") as file,
        gzip.GzipFile("", "wb", 9, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in [folder, *sorted(folder.rglob("*"))]:
            name = str(path.relative_to(folder.parent))
            tar.add(path, name, recursive=False, filter=_plain)
    new.replace(archive)
    return archive


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


def check(program: Path) -> None:
    """Run what was built, without the environment that built it; raises StepFailed."""
    bare = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [str(program), "--version"],
        env=bare,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0 or VERSION not in done.stdout:
        raise StepFailed(f"The agent that was built does not run: {done.stderr[-2000:]}")


def sha512(path: Path) -> str:
    """The digest that the cluster value agent_sha512 takes."""
    return hashlib.sha512(path.read_bytes()).hexdigest()


def main() -> int:
    os.umask(0o022)
    try:
        archive = build()
    except StepFailed as failure:
        say(f"\nThe build stopped.\n{failure}")
        return 1
    say(f"program: {(DIST / NAME / PROGRAM).relative_to(ROOT)}")
    say(f"archive: {archive.relative_to(ROOT)} ({archive.stat().st_size >> 10} KiB)")
    say(f"sha512:  {sha512(archive)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
