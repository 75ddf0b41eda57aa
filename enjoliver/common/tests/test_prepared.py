"""Prepared queries: the ORM's own rows, compiled once, one statement each."""

from datetime import UTC, datetime

import pytest
from django.db.models import Value

from enjoliver.common.models import Heartbeat
from enjoliver.common.prepared import PreparedQuery

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 23, 4, 5, 6, 789, tzinfo=UTC)


def make_heartbeats():
    for name in ("beat", "worker"):
        Heartbeat.objects.create(name=name, at=AT, detail=f"of {name}")


def test_the_rows_are_those_of_the_query_set():
    make_heartbeats()

    def build(name):
        return Heartbeat.objects.filter(name=name).values_list("name", "at", "detail")

    prepared = PreparedQuery(build)
    for name in ("beat", "worker", "nobody", "beat"):
        assert prepared(name) == list(build(name))


def test_it_is_built_once_and_asks_once_a_call(django_assert_num_queries):
    make_heartbeats()
    built = []

    def build(name):
        built.append(name)
        return Heartbeat.objects.filter(name=name).values_list("at")

    prepared = PreparedQuery(build)
    with django_assert_num_queries(3):
        assert [prepared(name) for name in ("beat", "beat", "nobody")] == [[(AT,)], [(AT,)], []]
    assert built == ["beat"]


def test_a_further_parameter_is_refused_because_it_would_be_frozen():
    prepared = PreparedQuery(
        lambda name: Heartbeat.objects.filter(name=name).values_list(Value("today"))
    )
    with pytest.raises(TypeError, match="only parameter"):
        prepared("beat")
