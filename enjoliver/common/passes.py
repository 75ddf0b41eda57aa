"""A pass over many things: one that fails stops no other, and is not kept quiet either."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Pieces:
    """Pieces of work that do not depend on each other. `piece()` keeps what fails inside of it for
    the end; `finish()` raises it: the one failure as it is, several as an ExceptionGroup."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []

    @contextmanager
    def piece(self) -> Iterator[None]:
        """One piece of work."""
        try:
            yield
        except Exception as error:  # whatever it is: the others are not to wait for its repair
            self.failures.append(error)

    def finish(self) -> None:
        """To be called after the last piece."""
        if len(self.failures) == 1:
            raise self.failures[0]
        if self.failures:
            raise ExceptionGroup("several pieces of work failed", self.failures)
