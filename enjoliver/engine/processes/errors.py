"""What can go wrong before anything is started."""

from __future__ import annotations

from collections.abc import Sequence


class CannotStart(Exception):
    """The engine was not started; `problems` are sentences for the operator."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
