"""Many threads at once, each with its own database connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connection, connections

Item = TypeVar("Item")
Result = TypeVar("Result")


def all_at_once(call: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Call `call` for each item in a thread of its own, started together; results in order."""
    items = list(items)
    barrier = Barrier(len(items))

    def run(item: Item) -> Result:
        try:
            _wait_long_for_the_writer()
            barrier.wait(timeout=120)
            return call(item)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(run, items))


def _wait_long_for_the_writer() -> None:
    """SQLite has one at a time, and lets those who wait try again in no order: on a busy computer
    the last of fifty has its turn late."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 300000")
