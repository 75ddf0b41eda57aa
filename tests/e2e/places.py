"""Where an engine of the tests lives: its ports, its folder, its database and queue."""

import os
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tools.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
_NOT_OURS = ("DATABASE_URL", "PROMETHEUS_MULTIPROC_DIR", "PYTEST_CURRENT_TEST")
_numbers = iter(range(1, 15))


@contextmanager
def private_database():
    """Environment with a database and a queue of its own, when the tests run on PostgreSQL."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        yield {}
        return
    number = next(_numbers)
    name = f"e2e_{os.getpid()}_{number}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            environment = {"DATABASE_URL": urlunsplit(urlsplit(url)._replace(path=f"/{name}"))}
            broker = os.environ.get("ENJOLIVER_BROKER_URL")
            if broker:
                queue = urlunsplit(urlsplit(broker)._replace(path=f"/{number}"))
                environment["ENJOLIVER_BROKER_URL"] = queue
            yield environment
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def environment_of(state_dir, database, **settings):
    """The environment of one engine; nothing of the caller's own engine leaks into it."""
    web, matchbox = free_port(), free_port()
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ENJOLIVER_") and name not in _NOT_OURS
    }
    return {
        **kept,
        "DJANGO_SETTINGS_MODULE": "enjoliver.settings",
        "ENJOLIVER_STATE_DIR": str(state_dir),
        "ENJOLIVER_BIND": f"127.0.0.1:{web}",
        "ENJOLIVER_MATCHBOX_BIND": f"127.0.0.1:{matchbox}",
        "ENJOLIVER_ADMIN_PASSWORD": "e2e-password",
        "ENJOLIVER_SYNC_INTERVAL_SECONDS": "2",
        "ENJOLIVER_SCHEDULE_INTERVAL_SECONDS": "1",
        **database,
        **settings,
    }
