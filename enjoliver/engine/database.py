"""Database work that must not wait long: probes and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def impatient_transaction(seconds: float) -> Iterator[None]:
    """A transaction whose statements wait at most `seconds` for locks; raises DatabaseError then.

    The connection's own patience (20 s on SQLite) is right for work that must be done and far too
    long for a probe that is asked each second.
    """
    milliseconds = int(seconds * 1000)
    if connection.vendor == "sqlite":
        with _sqlite_patience(milliseconds), transaction.atomic():
            yield
    else:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {milliseconds}")
            yield


@contextmanager
def _sqlite_patience(milliseconds: int) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        usual = int(cursor.fetchone()[0])
        cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {usual}")
