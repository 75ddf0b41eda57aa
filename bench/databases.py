"""PostgreSQL for a run: one private server, a database for each place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import psycopg
from psycopg import sql

from tools.testservices import private_services

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
NAMES = (SQLITE, POSTGRESQL)


class NewDatabase(Protocol):
    """Makes a database and returns its URL, "" for SQLite (it is a file of the state directory)."""

    def __call__(self, name: str, *, template: str = "") -> str:
        """`template`: the URL of a database to copy; nobody may be connected to it."""
        ...


@contextmanager
def database_server(kind: str) -> Iterator[NewDatabase]:
    """Run the server that `kind` needs, if any, and yield how to make databases on it."""
    if kind == SQLITE:
        yield _no_database
        return
    with private_services() as environment:
        yield _Server(environment["DATABASE_URL"]).create


def _no_database(name: str, *, template: str = "") -> str:
    return ""


class _Server:
    def __init__(self, url: str) -> None:
        self._url = url

    def create(self, name: str, *, template: str = "") -> str:
        command = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            command += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template.rpartition("/")[2]))
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(command)
        return f"{self._url.rpartition('/')[0]}/{name}"
