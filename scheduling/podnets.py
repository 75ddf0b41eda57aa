"""Each machine's part of the pod network: numbered parts that never overlap. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def pod_capacity(values: Mapping[str, Any]) -> int:
    """How many machines find room in `pod_network` with parts of `/pod_prefix`; 0 when none."""
    network = ipaddress.IPv4Network(values["pod_network"])
    bits: int = values["pod_prefix"] - network.prefixlen
    return int(2**bits) if bits >= 0 else 0


def pod_range(values: Mapping[str, Any], pod_index: int) -> ipaddress.IPv4Network:
    """The part with the number `pod_index` (from 0); raises ValueError outside of the network."""
    if not 0 <= pod_index < pod_capacity(values):
        raise ValueError(f"pod network {pod_index} lies outside of {values['pod_network']}")
    start = int(ipaddress.IPv4Network(values["pod_network"]).network_address)
    prefix: int = values["pod_prefix"]
    return ipaddress.IPv4Network((start + pod_index * 2 ** (32 - prefix), prefix))


def free_indexes(used: Iterable[int], capacity: int) -> Iterator[int]:
    """The numbers below `capacity` that are not `used`, lowest first."""
    taken = frozenset(used)
    return (index for index in range(capacity) if index not in taken)
