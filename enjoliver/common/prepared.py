"""Queries that the ORM compiles once: for paths that every machine of the fleet takes each minute.

Building and compiling a query over four joins costs Django more than a database needs to answer
it (docs/performance.md). The SQL is still the ORM's own, so it follows the models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.db.models.sql.compiler import SQLCompiler


class PreparedQuery:
    """A `values_list` query with one parameter; a call executes it and returns all rows.

    `build` makes the query set for a given value of the parameter, which must come into it
    exactly once, as it is sent to the database. The values are those that the ORM would give.
    """

    def __init__(self, build: Callable[[str], QuerySet[Any, tuple[Any, ...]]]) -> None:
        self._build = build
        self._compiled: tuple[SQLCompiler, str, Any] | None = None

    def __call__(self, value: str) -> list[tuple[Any, ...]]:
        """All rows for `value`, in one statement."""
        compiler, sql, converters = self._compiled or self._compile(value)
        with connection.cursor() as cursor:
            cursor.execute(sql, [value])
            rows = cursor.fetchall()
        return [tuple(row) for row in compiler.apply_converters(rows, converters)]

    def _compile(self, value: str) -> tuple[SQLCompiler, str, Any]:
        compiler = self._build(value).query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        if tuple(parameters) != (value,):
            raise TypeError(f"expected {value!r} to be the only parameter, not {parameters!r}")
        columns = [expression for expression, _, _ in compiler.select[: compiler.col_count]]
        # Two threads may do this at once: both results are the same.
        self._compiled = compiler, sql, compiler.get_converters(columns)
        return self._compiled
