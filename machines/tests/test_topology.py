"""Names, racks and failure domains."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machines.topology import MAX_DOMAIN_LENGTH, DnsAttributes, failure_domain, parse_fqdn


@pytest.mark.parametrize(
    ("fqdn", "parts"),
    [
        ("r13-srv3.dc-1.foo.bar.cr", ("r13-srv3", "dc-1", "dc-1.foo.bar.cr", "13", "3")),
        ("r13srv3.dc-1.foo.bar.cr", ("r13srv3", "dc-1", "dc-1.foo.bar.cr", "", "")),
        ("r13-srv3-b.dc-1.foo", ("r13-srv3-b", "dc-1", "dc-1.foo", "", "")),
        ("web-server.dc-1.foo", ("web-server", "dc-1", "dc-1.foo", "", "")),
        ("rack02-node07.dc-1", ("rack02-node07", "dc-1", "dc-1", "02", "07")),
        ("machine", ("machine", "", "", "", "")),
        ("r1-srv2", ("r1-srv2", "", "", "1", "2")),
        ("", ("", "", "", "", "")),
    ],
)
def test_a_name_tells_data_centre_rack_and_position(fqdn, parts):
    assert parse_fqdn(fqdn) == DnsAttributes(*parts)


@pytest.mark.parametrize(
    ("chassis", "labels", "fqdn", "domain"),
    [
        (["tor-1"], {"rack": "9"}, "r3-srv1.a", "chassis:tor-1"),
        (["tor-2", "tor-1", "tor-2", ""], {}, "", "chassis:tor-1+tor-2"),
        ([], {"rack": "9"}, "r3-srv1.a", "rack:9"),
        ([""], {"other": "9"}, "r3-srv1.a", "rack:3"),
        ([], {"rack": ""}, "srv1.a", ""),
        ([], {}, "", ""),
    ],
)
def test_switches_tell_more_than_labels_and_labels_more_than_names(chassis, labels, fqdn, domain):
    assert failure_domain(chassis, labels, fqdn) == domain


@given(st.lists(st.text()), st.dictionaries(st.text(), st.text()), st.text())
def test_any_text_gives_a_bounded_domain(chassis, labels, fqdn):
    assert len(failure_domain(chassis, labels, fqdn)) <= MAX_DOMAIN_LENGTH
