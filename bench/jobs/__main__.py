"""`python -m bench.jobs MODULE.FUNCTION ARGUMENTS RESULT`: run one job, write its result.

A job takes JSON keywords and returns JSON; it may print progress.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from bench.jobs.setup import set_up_django


def main(job: str, arguments: str, result: str) -> None:
    """Set Django up, call the job, write what it returned."""
    set_up_django()
    module, _, function = job.partition(".")
    run = getattr(importlib.import_module(f"bench.jobs.{module}"), function)
    answer = run(**json.loads(arguments))
    Path(result).write_text(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
