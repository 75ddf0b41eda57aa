"""Where a run happens: state directories below `.cache/bench`, and the environment of a process."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "bench"
API_URI = "http://127.0.0.1:5000"
"""Stands in every rendered config, so it is the same in every run: kept states stay good."""

_READY = "ready.json"


class AlreadyRunning(Exception):
    """Another bench works in the same folder; two at once would measure each other."""


@dataclass(frozen=True, slots=True)
class Place:
    """A state directory, a database and two ports: what one engine of the bench works on."""

    state_dir: Path
    database_url: str = ""
    port: int = field(default_factory=free_port)
    matchbox_port: int = field(default_factory=free_port)

    @property
    def metrics_dir(self) -> Path:
        """Where the web processes share their counters, as under `make run`."""
        return self.state_dir / "metrics"

    @property
    def templates(self) -> Path:
        """Where the site's own snippets are, if it has any."""
        return self.state_dir / "templates"

    def environment(self) -> dict[str, str]:
        """This process's environment without any setting of an engine, plus this place's."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("ENJOLIVER_")
            and name not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "PROMETHEUS_MULTIPROC_DIR")
        }
        return inherited | {
            "ENJOLIVER_STATE_DIR": str(self.state_dir),
            "DATABASE_URL": self.database_url,
            "ENJOLIVER_BIND": f"127.0.0.1:{self.port}",
            "ENJOLIVER_API_URI": API_URI,
            "ENJOLIVER_MATCHBOX_BIND": f"127.0.0.1:{self.matchbox_port}",
            "ENJOLIVER_TEMPLATES": str(self.templates) if self.templates.exists() else "",
            "ENJOLIVER_LOG_LEVEL": "ERROR",
            "PYTHONUNBUFFERED": "1",
        }


@dataclass(frozen=True, slots=True)
class Workshop:
    """The folders of one run: `kept` states survive it, `scratch` does not."""

    kept: Path
    scratch: Path

    def new(self, name: str, *, database_url: str = "") -> Place:
        """An empty place that is gone after the run."""
        return Place(Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch)), database_url)

    def copy(self, kept: Path, name: str) -> Place:
        """A copy of a kept state that the run may change."""
        place = self.new(name)
        command = ["cp", "-a", "--reflink=auto", f"{kept}/.", str(place.state_dir)]
        subprocess.run(command, check=True)
        (place.state_dir / _READY).unlink(missing_ok=True)
        return place

    def keep(self, place: Place, kept: Path) -> None:
        """Move the state of a place, in one step, to where it survives the run."""
        shutil.rmtree(kept)
        place.state_dir.rename(kept)

    def kept_dir(self, name: str, key: str) -> Path:
        """The folder of a kept state; states of the same name with another key are deleted."""
        wanted = self.kept / f"{name}-{key}"
        for other in self.kept.glob(f"{name}-*"):
            if other != wanted:
                shutil.rmtree(other, ignore_errors=True)
        wanted.mkdir(parents=True, exist_ok=True)
        return wanted


@contextmanager
def open_workshop(root: Path = CACHE) -> Iterator[Workshop]:
    """The folders for one run below `root`; raises AlreadyRunning when another run has them."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunning(f"another bench runs in {root}") from error
        scratch = root / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
        scratch.mkdir()
        try:
            yield Workshop(root, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def read_ready(state_dir: Path) -> dict[str, Any] | None:
    """What was noted when the kept state was finished; None while it is not."""
    try:
        document: dict[str, Any] = json.loads((state_dir / _READY).read_text())
    except (OSError, ValueError):
        return None
    return document


def mark_ready(state_dir: Path, notes: dict[str, Any]) -> None:
    """Say that a kept state is finished."""
    draft = state_dir / f"{_READY}.new"
    draft.write_text(json.dumps(notes))
    draft.replace(state_dir / _READY)


def sources_key(patterns: Iterable[str]) -> str:
    """A short digest over the project's files that match the glob `patterns`, tests left out."""
    digest = hashlib.sha256()
    files = {path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()}
    for path in sorted(files):
        relative = path.relative_to(ROOT)
        if "tests" not in relative.parts and "__pycache__" not in relative.parts:
            digest.update(f"{relative}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


SCHEMA_SOURCES = (
    "*/migrations/*.py",
    "enjoliver/*/migrations/*.py",
    "bench/jobs/fleets.py",
    "bench/payload.py",
    "simulator/facts.py",
)
SYNC_SOURCES = (
    *SCHEMA_SOURCES,
    "templates/ignition/**/*",
    "scheduling/schema.py",
    "matchbox_sync/*.py",
    "matchbox_sync/services/*.py",
)
"""What decides the bytes of a synced state."""
