"""One line for whoever waits."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Print to standard error: standard output holds the tables."""
    print(f"  {text}", file=sys.stderr, flush=True)
