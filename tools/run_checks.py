"""`python3 -m tools.run_checks NAME…`: make's check targets, all of them, with their times.

Goes on after a failure, so that one run shows everything that is to be mended.
"""

from __future__ import annotations

import subprocess
import sys
import time

from tools.steps import ROOT, say


def main(names: list[str]) -> int:
    failed = []
    for name in names:
        started = time.monotonic()
        say(f"== {name}")
        status = subprocess.run(["make", "--no-print-directory", name], cwd=ROOT).returncode
        failed += [name] if status else []
        say(f"{name}: {'FAILED' if status else 'good'} after {time.monotonic() - started:.0f} s")
    say(f"Not good: {', '.join(failed)}" if failed else "All checks are good.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
