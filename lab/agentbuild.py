"""The agent as machines get it: built out of this work tree when its sources changed."""

from __future__ import annotations

import fcntl
import shutil
import sys
from pathlib import Path

from lab.drivers.base import Say
from lab.errors import LabFailed
from lab.paths import REPOSITORY
from lab.programs import run
from tools.steps import fingerprint

_SECONDS = 900.0
_CACHE = REPOSITORY / ".cache" / "lab" / "agent"


def agent_archive(say: Say, cache: Path = _CACHE) -> Path:
    """The archive of the agent's present sources, from the cache or built now; LabFailed."""
    archive = cache / f"enjoliver-agent-{_key()[:16]}.tar.gz"
    if archive.exists():
        return archive
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        # Two labs may want it at once; both builds would use the same folder.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            say("Agent: building it, half a minute or so…")
            _build(archive)
    return archive


def _build(archive: Path) -> None:
    said = run([sys.executable, "-m", "tools.build_agent"], seconds=_SECONDS, folder=REPOSITORY)
    built = next(
        (line.split()[1] for line in said.splitlines() if line.startswith("archive:")), None
    )
    if built is None:
        raise LabFailed(f"The agent's build named no archive:\n{said}")
    new = archive.with_name("new.tar.gz")
    shutil.copyfile(REPOSITORY / built, new)
    new.replace(archive)


def _key() -> str:
    """A digest over all that decides the agent's bytes."""
    sources = [
        path
        for path in sorted((REPOSITORY / "agent").rglob("*"))
        if path.is_file() and "tests" not in path.parts and "__pycache__" not in path.parts
    ]
    names = [str(path.relative_to(REPOSITORY)) for path in sources]
    others = [REPOSITORY / "requirements-agent.txt", REPOSITORY / "tools/build_agent.py"]
    return fingerprint([*names, *sources, *others, sys.version])
