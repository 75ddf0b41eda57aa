"""A pytest plugin: keeps the tests that touch the database or start the engine.

The others would say the same on PostgreSQL as on SQLite.
"""

from __future__ import annotations

import pytest

_MARKERS = ("django_db", "e2e", "postgres")
_FIXTURES = {"db", "transactional_db", "django_db_reset_sequences", "live_server"}


def touches_database(item: pytest.Item) -> bool:
    """Whether a test asks for the database, by marker, by fixture, or as Django's TestCase.

    `once` marks the ones that start the engine for something else.
    """
    if item.get_closest_marker("once"):
        return False
    if any(item.get_closest_marker(name) for name in _MARKERS):
        return True
    if _FIXTURES & set(getattr(item, "fixturenames", ())):
        return True
    return hasattr(getattr(item, "cls", None), "databases")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, so that pytest's summary counts them."""
    others = [item for item in items if not touches_database(item)]
    items[:] = [item for item in items if touches_database(item)]
    config.hook.pytest_deselected(items=others)
