"""Times are RFC 3339 in UTC, whatever zone they came in."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from enjoliver.common.times import rfc3339


def test_nothing_stays_nothing():
    assert rfc3339(None) is None


def test_utc_is_written_with_z():
    assert rfc3339(datetime(2026, 11, 23, 1, 19, 49, tzinfo=UTC)) == "2026-11-23T01:19:49.000Z"


def test_another_zone_becomes_utc():
    there = datetime(2026, 11, 23, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert rfc3339(there) == "2026-11-22T23:00:00.000Z"


@given(st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)))
def test_it_reads_back_to_the_millisecond(moment):
    text = rfc3339(moment)
    assert text is not None
    assert abs(datetime.fromisoformat(text) - moment) < timedelta(milliseconds=1)
