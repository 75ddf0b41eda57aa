"""MACs and UUIDs: any common spelling in, one spelling out."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enjoliver.common.addresses import MACAddressField, normalise_mac, normalise_uuid

OCTETS = st.lists(st.integers(0, 255), min_size=6, max_size=6)


def spell(octets, separator, group, upper):
    digits = "".join(f"{octet:02x}" for octet in octets)
    text = separator.join(digits[i : i + group] for i in range(0, 12, group))
    return text.upper() if upper else text


@given(OCTETS, st.sampled_from([(":", 2), ("-", 2), (".", 4), ("", 12)]), st.booleans())
def test_every_spelling_of_a_mac_becomes_one(octets, spelling, upper):
    canonical = ":".join(f"{octet:02x}" for octet in octets)
    separator, group = spelling
    assert normalise_mac(spell(octets, separator, group, upper)) == canonical
    assert normalise_mac(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "52:54:00:00:00",
        "52:54:00:00:00:0g",
        "52:54:00:00:00:01:02",
        "52:54-00:00:00:01",
        "5254.0000.00",
        " 52:54:00:00:00:01",
        "52:54:00:00:00:01\n",
        "52:54:00:00:00:0\u0661",  # an Arabic digit is a digit to `\d`, not to us
    ],
)
def test_what_is_no_mac_is_refused(text):
    with pytest.raises(ValueError, match="not a MAC"):
        normalise_mac(text)


@given(st.text())
def test_any_text_is_a_mac_or_a_value_error(text):
    with suppress(ValueError):
        assert len(normalise_mac(text)) == 17


def test_a_uuid_is_lower_case_and_may_have_any_version_bits():
    assert normalise_uuid("652812FC-19D9-0A64-0A53-07F18BADD780") == (
        "652812fc-19d9-0a64-0a53-07f18badd780"
    )


@pytest.mark.parametrize("text", ["", "652812fc19d95a64aa5307f18badd780", "x" * 36, "a" * 5000])
def test_what_is_no_uuid_is_refused(text):
    with pytest.raises(ValueError, match="not a UUID"):
        normalise_uuid(text)


def test_a_mac_field_stores_the_one_spelling():
    field = MACAddressField()
    assert field.get_prep_value("52-54-00-AB-CD-EF") == "52:54:00:ab:cd:ef"
    assert field.to_python("") == ""
    assert field.to_python(None) is None
