"""Pod networks: numbered parts that never overlap."""

import ipaddress
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.podnets import free_indexes, pod_capacity, pod_range
from scheduling.values import merge_values

DEFAULTS = merge_values({})


def test_the_default_range_holds_ten_thousand_machines():
    assert pod_capacity(DEFAULTS) == 16384


@given(st.integers(8, 16), st.integers(16, 28), st.data())
def test_parts_lie_in_the_range_and_never_overlap(network_prefix, pod_prefix, data):
    values = {"pod_network": f"10.0.0.0/{network_prefix}", "pod_prefix": pod_prefix}
    indexes = st.integers(0, pod_capacity(values) - 1)
    one, other = data.draw(indexes), data.draw(indexes)
    first, second = pod_range(values, one), pod_range(values, other)
    assert first.subnet_of(ipaddress.IPv4Network(values["pod_network"]))
    assert first.overlaps(second) == (one == other)


def test_a_part_outside_of_the_range_is_an_error():
    with pytest.raises(ValueError, match="outside"):
        pod_range(DEFAULTS, 16384)


def test_a_prefix_wider_than_the_network_has_no_room():
    assert pod_capacity({"pod_network": "10.0.0.0/24", "pod_prefix": 16}) == 0


@given(st.sets(st.integers(0, 50)))
def test_free_indexes_are_the_lowest_that_nobody_has(used):
    free = list(islice(free_indexes(used, 60), 9))
    assert not set(free) & used
    assert free == sorted(set(range(60)) - used)[:9]
