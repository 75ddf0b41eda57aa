"""Maintenance windows, with the two days of the year on which the clock steps."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.rules.windows import DAYS, Window, closes_at, is_open, next_opening

PARIS = {"days": ["sun"], "start": "02:30", "minutes": 60, "time_zone": "Europe/Paris"}


def utc(*parts):
    return datetime(*parts).replace(tzinfo=UTC)


def read(**changes):
    base = {"days": list(DAYS), "start": "22:00", "minutes": 120, "time_zone": "UTC"}
    return Window.read(base | changes)


def test_without_windows_it_is_always_open():
    assert is_open([], utc(2026, 1, 5))
    assert next_opening([], utc(2026, 1, 5)) is None


def test_it_is_open_from_its_start_until_just_before_its_end():
    window = [read(days=["mon"])]
    assert not is_open(window, utc(2026, 1, 5, 21, 59, 59))
    assert is_open(window, utc(2026, 1, 5, 22))
    assert is_open(window, utc(2026, 1, 5, 23, 59, 59))
    assert not is_open(window, utc(2026, 1, 6, 0))
    assert closes_at(window, utc(2026, 1, 5, 23)) == utc(2026, 1, 6)
    assert next_opening(window, utc(2026, 1, 5, 23)) == utc(2026, 1, 12, 22)


def test_it_goes_on_after_midnight_into_a_day_that_is_not_named():
    assert is_open([read(days=["mon"], start="23:30")], utc(2026, 1, 6, 1, 29))


def test_a_window_of_a_week_is_always_open():
    window = [read(days=["mon"], minutes=7 * 24 * 60)]
    assert all(is_open(window, utc(2026, 1, 5) + timedelta(hours=7 * n)) for n in range(50))


def test_of_two_windows_either_is_enough():
    windows = [read(days=["mon"]), read(days=["tue"], start="03:00")]
    assert is_open(windows, utc(2026, 1, 6, 4))
    assert next_opening(windows, utc(2026, 1, 6, 1)) == utc(2026, 1, 6, 3)


class TestWhenTheClockSteps:
    def test_a_start_that_is_skipped_is_the_first_moment_after_the_gap(self):
        # 2026-03-29 in Paris: 02:00 becomes 03:00 at 01:00 UTC.
        window = [Window.read(PARIS)]
        assert next_opening(window, utc(2026, 3, 28, 12)) == utc(2026, 3, 29, 1)
        assert not is_open(window, utc(2026, 3, 29, 0, 59, 59))
        assert is_open(window, utc(2026, 3, 29, 1, 59, 59))
        assert not is_open(window, utc(2026, 3, 29, 2))

    def test_a_start_that_comes_twice_counts_once(self):
        # 2026-10-25 in Paris: 03:00 becomes 02:00 at 01:00 UTC.
        window = [Window.read(PARIS)]
        assert next_opening(window, utc(2026, 10, 24, 12)) == utc(2026, 10, 25, 0, 30)
        assert is_open(window, utc(2026, 10, 25, 1, 29))
        assert not is_open(window, utc(2026, 10, 25, 1, 30))

    def test_it_lasts_as_long_as_ever(self):
        window = [Window.read(PARIS | {"start": "01:30", "minutes": 120})]
        assert closes_at(window, utc(2026, 3, 29, 0, 45)) == utc(2026, 3, 29, 2, 30)

    def test_the_wall_clock_decides_not_utc(self):
        window = [Window.read(PARIS | {"start": "22:00"})]
        assert is_open(window, utc(2026, 7, 5, 20, 30))
        assert not is_open(window, utc(2026, 1, 4, 20, 30))
        assert is_open(window, utc(2026, 1, 4, 21, 30))


windows = st.builds(
    lambda days, start, minutes, zone: Window.read(
        {"days": days, "start": start, "minutes": minutes, "time_zone": zone}
    ),
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True),
    st.times().map(lambda at: f"{at:%H:%M}"),
    st.integers(1, 7 * 24 * 60),
    st.sampled_from(
        ["UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
    ),
)
moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)).map(
    lambda at: at.replace(tzinfo=UTC)
)


@given(st.lists(windows, min_size=1, max_size=3), moments)
def test_it_is_open_when_it_opens_and_not_just_when_it_closes(found, now):
    opening = next_opening(found, now)
    assert opening is not None
    assert now < opening <= now + timedelta(days=8)
    assert is_open(found, opening)
    closing = closes_at(found, now)
    assert (closing is not None) == is_open(found, now)
    if closing:
        assert is_open(found, closing - timedelta(seconds=1)) or len(found) > 1


@given(windows, moments)
def test_a_window_opens_within_the_local_days_that_it_names(window, now):
    opening = next_opening([window], now)
    assert opening is not None
    local = opening.astimezone(window.zone)
    assert local.weekday() in window.days or local.hour <= 3  # a gap at midnight ends on that day
    wall = local.hour * 60 + local.minute
    planned = window.start.hour * 60 + window.start.minute
    assert 0 <= wall - planned <= 60  # equal, but for a start that the clock skips


@pytest.mark.parametrize("zone", ["Europe/Paris", "Australia/Lord_Howe"])
def test_every_weekly_opening_of_a_year_comes_once(zone):
    window = [read(days=["sun"], start="02:15", time_zone=zone)]
    moment: Any = utc(2026, 1, 1)
    openings: list[Any] = []
    while len(openings) < 52:
        moment = next_opening(window, moment)
        openings.append(moment)
    days = {opening.astimezone(window[0].zone).date() for opening in openings}
    assert len(days) == 52
