"""Steps of set-up and checks: run a command, remember what is done, fail in plain words."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
TRIES = 3
"""How often what fetches something is tried."""
RETRY_SECONDS = 10
_SHOWN_LINES = 25


class StepFailed(Exception):
    """A step that did not succeed; the text says what to do about it."""


def say(text: str) -> None:
    """One line to the operator, at once."""
    print(text, flush=True)


@contextmanager
def step(name: str, doing: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    say(f"{name}: {doing}…")
    started = time.monotonic()
    yield
    say(f"{name}: done in {time.monotonic() - started:.0f} s")


def run(
    command: Sequence[str],
    *,
    advice: str,
    environment: Mapping[str, str] | None = None,
    tries: int = 1,
) -> None:
    """Run a command quietly; when it fails, raise StepFailed with its last lines and `advice`.

    `tries` is for commands that fetch something: the network may be away for a moment.
    """
    for left in reversed(range(tries)):
        result = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if result.returncode == 0:
            return
        lines = result.stdout.splitlines()[-_SHOWN_LINES:]
        if left:
            why = lines[-1].strip() if lines else f"exit status {result.returncode}"
            say(f"  That did not work ({why}); again in {RETRY_SECONDS} s")
            time.sleep(RETRY_SECONDS)
    last = "\n".join(f"    {line}" for line in lines)
    raise StepFailed(f"This did not work: {' '.join(command)}\n{last}\n{advice}")


def fingerprint(parts: Iterable[str | Path]) -> str:
    """A digest over texts and files' contents: the key that says whether a step is still done."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode()
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _stamp(name: str) -> Path:
    return CACHE / "stamps" / name


def is_done(name: str, key: str) -> bool:
    """Whether a step was finished for exactly this key."""
    return _stamp(name).exists() and _stamp(name).read_text() == key


def mark_done(name: str, key: str) -> None:
    """Remember that a step was finished for this key."""
    _stamp(name).parent.mkdir(parents=True, exist_ok=True)
    _stamp(name).write_text(key)
