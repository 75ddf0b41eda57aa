"""`python3 -m tools.set_up run|test`: makes a fresh machine ready; quick when nothing is to do.

`run` is what `make run` and `make demo` need; `test` adds what `make test` and `make check` need.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tools.go_programs import BUTANE, IGNITION, MATCHBOX, build
from tools.steps import ROOT, StepFailed, fingerprint, is_done, mark_done, run, say, step
from tools.system_packages import RUN_NEEDS, TEST_NEEDS, install_missing

VENV = ROOT / ".venv"
_CONSTRAINTS = ROOT / "constraints.txt"
_RUN = ROOT / "requirements.txt"
_TEST = ROOT / "requirements-dev.txt"


def set_up(part: str) -> None:
    """Make this machine ready for one part; raises StepFailed."""
    is_test = part == "test"
    install_missing((*RUN_NEEDS, *TEST_NEEDS) if is_test else RUN_NEEDS)
    make_venv()
    install_python_packages(with_tests=is_test)
    build([MATCHBOX, BUTANE, IGNITION] if is_test else [MATCHBOX, BUTANE])


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


def install_python_packages(*, with_tests: bool) -> None:
    """The pinned packages, and the whole set below them as constraints.txt fixes it."""
    name = "python-test" if with_tests else "python-run"
    if is_done(name, _packages_key(with_tests=with_tests)):
        say("Python packages: all there")
        return
    wanted = _TEST if with_tests else _RUN
    with step("Python packages", f"installing those of {wanted.name}"):
        pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        run(
            [*pip, "--disable-pip-version-check", "-c", str(_CONSTRAINTS), "-r", str(wanted)],
            advice="Is there a way to the Python package index, and space on the disk?",
        )
    mark_done("python-run", _packages_key(with_tests=False))
    if with_tests:
        mark_done(name, _packages_key(with_tests=True))


def _packages_key(*, with_tests: bool) -> str:
    files: list[str | Path] = [_CONSTRAINTS, _RUN, *([_TEST] if with_tests else [])]
    # The environment itself is part of the key: made anew, it is empty.
    return fingerprint([*files, str((VENV / "pyvenv.cfg").stat().st_ctime_ns)])


def main(arguments: list[str]) -> int:
    if arguments not in (["run"], ["test"]):
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
