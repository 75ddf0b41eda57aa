"""`python -m tools.openapi [--check]`: writes docs/openapi.yaml, or compares it with the code."""

from __future__ import annotations

import difflib
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.steps import ROOT, say

COMMITTED = ROOT / "docs" / "openapi.yaml"


def generate(target: Path) -> int:
    """Write the document of the present code; the exit status of the command that does."""
    command = [sys.executable, "manage.py", "spectacular", "--validate", "--fail-on-warn"]
    return subprocess.run([*command, "--file", str(target)], cwd=ROOT, check=False).returncode


def differences(committed: str, present: str) -> str:
    """A unified diff, empty when nothing differs."""
    names = ("docs/openapi.yaml", "the code")
    lines = committed.splitlines(keepends=True), present.splitlines(keepends=True)
    return "".join(difflib.unified_diff(*lines, *names))


def check() -> int:
    """0 when the committed document is the code's; else the difference is shown."""
    with tempfile.TemporaryDirectory() as folder:
        present = Path(folder) / "openapi.yaml"
        if status := generate(present):
            return status
        committed = COMMITTED.read_text() if COMMITTED.exists() else ""
        if found := differences(committed, present.read_text()):
            say(f"{found}\ndocs/openapi.yaml is not what the code says: run `make generate`.")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(check() if sys.argv[1:] == ["--check"] else generate(COMMITTED))
