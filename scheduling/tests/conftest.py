"""What the tests of scheduling share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scheduling.models import Cluster
from scheduling.services import default_cluster
from scheduling.signals import intent_changed


@pytest.fixture
def cluster(db: None) -> Cluster:
    """The default cluster, also after a test that emptied the tables."""
    return default_cluster()


@pytest.fixture
def intents() -> Iterator[list[int]]:
    """Cluster ids of the `intent_changed` signals, in order."""
    seen: list[int] = []

    def note(sender: object, *, cluster_id: int, **kwargs: Any) -> None:
        seen.append(cluster_id)

    intent_changed.connect(note)
    yield seen
    intent_changed.disconnect(note)


@pytest.fixture
def committed(
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> Callable[..., Any]:
    """`committed(function, **kwargs)`: call it and run what it left for the commit."""

    def call(function: Callable[..., Any], **kwargs: Any) -> Any:
        with django_capture_on_commit_callbacks(execute=True):
            return function(**kwargs)

    return call
