"""Counting what a piece of work asks of the database and of the machine."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


@dataclass(slots=True)
class Cost:
    """What the work inside `measure` took. CPU seconds include ended child processes."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    statements: list[str] = field(default_factory=list)
    children_started: int = 0

    @property
    def queries(self) -> int:
        """Statements without those that only open and close transactions."""
        return sum(not _is_frame(statement) for statement in self.statements)

    @property
    def writes(self) -> int:
        """Statements that write."""
        return sum(statement.lstrip().startswith(_WRITES) for statement in self.statements)


def _is_frame(statement: str) -> bool:
    return statement.startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK"))


@contextmanager
def measure() -> Iterator[Cost]:
    """Measure the block; its database statements are kept as texts."""
    cost = Cost()

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        cost.statements.append(sql)
        return execute(sql, *rest)

    cpu, started = _cpu_seconds(), time.perf_counter()
    with connection.execute_wrapper(note), _counted_children(cost):
        yield cost
    cost.seconds = time.perf_counter() - started
    cost.cpu_seconds = _cpu_seconds() - cpu


def _cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@contextmanager
def _counted_children(cost: Cost) -> Iterator[None]:
    """Whoever starts a process does it through Popen, however it is called."""
    original = subprocess.Popen.__init__

    def counted(self: Any, *args: Any, **options: Any) -> None:
        cost.children_started += 1
        original(self, *args, **options)

    subprocess.Popen.__init__ = counted  # type: ignore[method-assign]
    try:
        yield
    finally:
        subprocess.Popen.__init__ = original  # type: ignore[method-assign]
