"""`python3 -m tools.check_links`: every relative link in the Markdown files leads to a file."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.steps import ROOT, say

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ELSEWHERE = re.compile(r"^(?:[a-z]+:|#|/)")


def broken_links(document: Path) -> Iterator[str]:
    """The relative links of one Markdown file whose target is not there."""
    for target in _LINK.findall(document.read_text()):
        if _ELSEWHERE.match(target):
            continue
        if not (document.parent / target.partition("#")[0]).exists():
            yield target


def documents() -> list[Path]:
    """The Markdown files that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.splitlines() if (path := ROOT / name).exists()]


def main() -> int:
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents()
        for target in broken_links(document)
    ]
    for line in broken:
        say(f"Link to nowhere in {line}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
