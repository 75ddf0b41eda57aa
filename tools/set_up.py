"""`python3 -m tools.set_up run|test|lab|lab-vm`: makes a fresh machine ready.

`run` is what `make run` and `make demo` need; `test` adds what `make test` and `make check` need,
`lab` further what a lab of containers needs, `lab-vm` one of virtual machines. Quick when nothing
is to do.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tools.go_programs import BUTANE, IGNITION, MATCHBOX, build
from tools.steps import (
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
from tools.system_packages import LAB_NEEDS, LAB_VM_NEEDS, RUN_NEEDS, TEST_NEEDS, install_missing

VENV = ROOT / ".venv"
_CONSTRAINTS = ROOT / "constraints.txt"
PARTS = ("run", "test", "lab", "lab-vm")
"""Each needs what the ones before it need, and more."""
_NEEDS = (RUN_NEEDS, TEST_NEEDS, LAB_NEEDS, LAB_VM_NEEDS)
_RUN, _TEST = ROOT / "requirements.txt", ROOT / "requirements-dev.txt"
_REQUIREMENTS = (_RUN, _TEST, _TEST, ROOT / "requirements-lab.txt")


def set_up(part: str) -> None:
    """Make this machine ready for one part; raises StepFailed."""
    level = PARTS.index(part)
    install_missing([need for needs in _NEEDS[: level + 1] for need in needs])
    make_venv()
    install_python_packages(part)
    build([MATCHBOX, BUTANE] if part == "run" else [MATCHBOX, BUTANE, IGNITION])


def make_venv() -> None:
    """An environment for the Python packages; made again when its Python is gone."""
    python = VENV / "bin" / "python"
    if (
        python.exists()
        and subprocess.run([python, "--version"], capture_output=True).returncode == 0
    ):
        return
    with step("Python packages", f"making an environment in {VENV.name}"):
        run(
            [sys.executable, "-m", "venv", "--clear", str(VENV)],
            advice="Debian and Ubuntu have it in the package python3-venv.",
        )


def install_python_packages(part: str) -> None:
    """The pinned packages of a part, and the whole set below them as constraints.txt fixes it."""
    level = PARTS.index(part)
    if is_done(f"python-{part}", _packages_key(level)):
        say("Python packages: all there")
        return
    wanted = _REQUIREMENTS[level]
    with step("Python packages", f"installing those of {wanted.name}"):
        pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        run(
            [*pip, "--disable-pip-version-check", "-c", str(_CONSTRAINTS), "-r", str(wanted)],
            advice="Is there a way to the Python package index, and space on the disk?",
            tries=TRIES,
        )
    for lower, name in enumerate(PARTS[: level + 1]):
        mark_done(f"python-{name}", _packages_key(lower))


def _packages_key(level: int) -> str:
    files: list[str | Path] = [_CONSTRAINTS, *_REQUIREMENTS[: level + 1]]
    # The environment itself is part of the key: made anew, it is empty.
    return fingerprint([*files, str((VENV / "pyvenv.cfg").stat().st_ctime_ns)])


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in PARTS:
        say(__doc__ or "")
        return 2
    started = time.monotonic()
    try:
        set_up(arguments[0])
    except StepFailed as failure:
        say(f"\nSet-up stopped.\n{failure}")
        return 1
    say(f"Set-up: ready after {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
