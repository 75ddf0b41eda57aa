"""The raw query names one machine, or says why it does not."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enjoliver.common.errors import InvalidInput
from enjoliver.common.rawquery import MAX_LENGTH, parse_raw_query

UUID = "652812fc-19d9-5a64-aa53-07f18badd780"


def test_a_whole_query_is_read():
    query = parse_raw_query(f"uuid={UUID.upper()}&mac=52-54-00-00-00-0A&os=installed")
    assert (query.mac, query.uuid) == ("52:54:00:00:00:0a", UUID)
    assert query.is_installed_system


def test_percent_encoding_is_read():
    assert parse_raw_query("mac=52%3A54%3A00%3A00%3A00%3A01").mac == "52:54:00:00:00:01"


def test_a_mac_is_enough_and_an_empty_uuid_is_none():
    assert parse_raw_query("mac=525400000001&uuid=").uuid is None
    assert not parse_raw_query("mac=525400000001").is_installed_system


def test_a_key_that_only_ends_in_mac_is_not_a_mac():
    with pytest.raises(InvalidInput, match="not parsable"):
        parse_raw_query("xmac=52-54-00-00-00-01")


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ("os=installed", "mac"),
        ("mac=", "mac"),
        ("mac=fake", "mac"),
        ("mac=525400000001&uuid=1", "uuid"),
        ("", "mac"),
    ],
)
def test_the_refused_field_is_named(raw, field):
    with pytest.raises(InvalidInput) as refused:
        parse_raw_query(raw)
    assert refused.value.status_code == 400
    assert list(refused.value.fields) == [field]


def test_an_overlong_query_is_refused():
    with pytest.raises(InvalidInput, match="longer"):
        parse_raw_query("mac=525400000001&x=" + "a" * MAX_LENGTH)


def test_very_many_parameters_are_read_or_refused():
    assert parse_raw_query("&".join(["a=1"] * 400) + "&mac=525400000001").mac


@given(st.text(max_size=300))
def test_any_text_is_a_query_or_refused(raw):
    with suppress(InvalidInput):
        assert len(parse_raw_query(raw).mac) == 17
