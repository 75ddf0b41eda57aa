"""What the edges of lifecycle share: who asks, and the list rows."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.db import models
from django.db.models import FilteredRelation, Q
from django.http import HttpRequest

from enjoliver.common.http import client_address
from enjoliver.common.rawquery import parse_raw_query
from machines.lookup import find_machine
from machines.models import Machine


def find_asking_machine(raw_query: str) -> Machine:
    """The machine that a raw query names; InvalidInput, UnknownMachine or IdentityConflict."""
    return find_machine(parse_raw_query(raw_query))


def source_address(request: HttpRequest) -> str:
    """Where the request comes from, in one spelling: no zone, IPv4 not wrapped into IPv6."""
    address = ipaddress.ip_address(client_address(request).partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)


def with_boot_interface(rows: models.QuerySet[Any], *columns: str) -> Any:
    """Rows that belong to machines as dictionaries of `mac`, `fqdn`, `cidrv4` and `columns`.

    Name and address are the boot interface's. In the order of the machines; one query.
    """
    is_boot = Q(machine__interfaces__is_boot=True)
    joined = rows.annotate(boot=FilteredRelation("machine__interfaces", condition=is_boot))
    return joined.order_by("machine__created_at", "machine_id").values(
        "machine__boot_mac", "boot__fqdn", "boot__cidrv4", *columns
    )


def machine_part(row: dict[str, Any]) -> dict[str, Any]:
    """The keys of a list row that name the machine."""
    return {
        "mac": row["machine__boot_mac"],
        "fqdn": row["boot__fqdn"],
        "cidrv4": row["boot__cidrv4"],
    }
