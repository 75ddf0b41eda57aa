"""What bars a machine from getting a role by itself. Pure.

A mismatched query (`QUERY_MISMATCH`) bars nobody: one request of a stranger is enough to cause
it, and would otherwise keep any machine out. An operator may assign a role in any case.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from machines.models import ConflictKind
from scheduling.placement import Wait
from scheduling.roles import WaitCode

BARRING = (ConflictKind.DUPLICATE_UUID, ConflictKind.SHARED_MAC)


@dataclass(frozen=True, slots=True)
class Ranges:
    """The cluster's own networks: a machine's address must lie in none of them."""

    networks: Mapping[str, ipaddress.IPv4Network]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Ranges:
        """The pod network and the service range of `values`."""
        keys = ("pod_network", "kubernetes_service_cluster_ip_range")
        return cls({key: ipaddress.IPv4Network(values[key]) for key in keys})

    def find(self, address: str) -> str:
        """The key of the range that holds `address`, or ""."""
        parsed = ipaddress.IPv4Address(address)
        return next((key for key, network in self.networks.items() if parsed in network), "")


def find_obstacle(
    *, address: str | None, conflicts: Mapping[str, str], is_mac_held: bool, ranges: Ranges
) -> Wait | None:
    """Why this machine gets no role by itself, or None.

    `address` is that of its boot interface, `conflicts` maps the kinds of its open conflicts to
    their details, `is_mac_held` says that another machine has the same boot MAC.
    """
    for kind in BARRING:
        if kind in conflicts:
            return Wait(WaitCode.CONFLICT, f"conflict: {conflicts[kind]}"[:300])
    if is_mac_held:
        return Wait(WaitCode.CONFLICT, "conflict: another machine has the same boot MAC")
    if not address:
        return Wait(WaitCode.NO_ADDRESS, "no IPv4 address on its boot interface")
    key = ranges.find(address)
    if key:
        return Wait(WaitCode.ADDRESS_IN_RANGE, f"its address {address} lies in the {key}")
    return None


def find_bar(*, address: str, conflicts: Collection[str], claimed_twice: Collection[str]) -> str:
    """Why a machine without obstacle cannot join the control plane, or ""."""
    if ConflictKind.SHARED_ADDRESS in conflicts or address in claimed_twice:
        return f"its address {address} is claimed twice, so it can only become a node"
    return ""
