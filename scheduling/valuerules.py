"""Rules between cluster values, and between them and the machines that are there. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from enjoliver.common.errors import InvalidInput
from scheduling.podnets import pod_capacity
from scheduling.schema import SCHEMA
from scheduling.valuetypes import ValueType

RANGES = ("pod_network", "kubernetes_service_cluster_ip_range")
_PORTS = tuple(value.name for value in SCHEMA if value.type is ValueType.PORT)
_DATA_DIRS = tuple(value.name for value in SCHEMA if value.name.endswith("_etcd_data_dir"))

Problem = tuple[str, str]
"""A key and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the rules need to know of the machines in the cluster."""

    addresses: Sequence[str] = ()
    highest_pod_index: int = -1


def check_together(values: Mapping[str, Any], fleet: Fleet) -> None:
    """Raise InvalidInput (409) that names each key which contradicts another one or a machine."""
    problems: dict[str, str] = {}
    for key, reason in _find_problems(values, fleet):
        problems.setdefault(key, reason)
    if problems:
        sentence = "; ".join(f"{key}: {reason}" for key, reason in problems.items())
        raise InvalidInput(sentence, kind="contradicting_values", status_code=409, fields=problems)


def _find_problems(values: Mapping[str, Any], fleet: Fleet) -> Iterator[Problem]:
    yield from _find_twins(values, _PORTS)
    yield from _find_twins(values, _DATA_DIRS)
    yield from _find_overlaps(values, fleet.addresses)
    yield from _find_lack_of_room(values, fleet)
    if values["agent_url"] and not values["agent_sha512"]:
        yield "agent_sha512", "needed when agent_url is set: machines check what they fetch"


def _find_twins(values: Mapping[str, Any], keys: Sequence[str]) -> Iterator[Problem]:
    for one, other in combinations(keys, 2):
        if values[one] == values[other]:
            yield other, f"{values[one]} is that of {one} as well"


def _find_overlaps(values: Mapping[str, Any], addresses: Sequence[str]) -> Iterator[Problem]:
    networks = {key: ipaddress.IPv4Network(values[key]) for key in RANGES}
    pod, service = (networks[key] for key in RANGES)
    if pod.overlaps(service):
        yield RANGES[1], f"{service} overlaps the pod_network {pod}"
    perennial = ipaddress.IPv4Address(values["perennial_local_host_ip"])
    for key, network in networks.items():
        if perennial in network:
            yield "perennial_local_host_ip", f"{perennial} lies in the {key} {network}"
    for address in map(ipaddress.IPv4Address, addresses):
        for key, network in networks.items():
            if address in network:
                yield key, f"{network} holds the address {address} of a machine"
        if address == perennial:
            yield "perennial_local_host_ip", f"{address} is the address of a machine"


def _find_lack_of_room(values: Mapping[str, Any], fleet: Fleet) -> Iterator[Problem]:
    capacity = pod_capacity(values)
    parts = f"{values['pod_network']} holds {capacity} parts of /{values['pod_prefix']}"
    if not capacity:
        yield "pod_prefix", parts
    elif fleet.highest_pod_index >= capacity:
        yield (
            "pod_network",
            f"{parts}; machines hold parts up to number {fleet.highest_pod_index}",
        )
