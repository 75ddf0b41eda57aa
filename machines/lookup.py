"""The machine that a caller says it is."""

from __future__ import annotations

from django.db.models import Q

from enjoliver.common.addresses import normalise_mac
from enjoliver.common.errors import Conflict, IdentityConflict, UnknownMachine
from enjoliver.common.rawquery import MachineQuery
from machines.matching import match_query
from machines.models import Machine
from machines.services.conflicts import record_query_mismatch


def find_machine(query: MachineQuery) -> Machine:
    """Return the machine with the query's MAC (any interface); its `facts` are deferred.

    Raises UnknownMachine (404), or IdentityConflict (409) when the query's UUID is not that
    machine's: recorded as an event and a conflict that the operator sees, with no effect on the
    machines. Call it outside of a transaction, or the record is rolled back with the error.
    """
    match = match_query(query)
    if match is None:
        raise UnknownMachine(f"no machine has the MAC {query.mac}", fields={"mac": "unknown"})
    if not match.agrees:
        record_query_mismatch(machine=match.machine, query=query)
        raise IdentityConflict(
            f"the MAC {query.mac} belongs to a machine with another UUID than {query.uuid}",
            fields={"uuid": "not the UUID of the machine with this MAC"},
        )
    return match.machine


def find_named_machine(text: str) -> Machine:
    """The one machine that an operator means by `text`: a MAC, UUID, serial number or name.

    A name may be short (without its domain). Raises UnknownMachine, or Conflict with the MACs
    and UUIDs when several machines go by it.
    """
    # Many machines have no serial number: an empty name is nobody's.
    found = list(Machine.objects.filter(_named(text)).distinct()[:4]) if text else []
    if not found:
        raise UnknownMachine(f"no machine has the MAC, UUID, serial number or name {text[:64]!r}")
    if len(found) > 1:
        names = ", ".join(f"{machine.boot_mac} ({machine.uuid})" for machine in found)
        raise Conflict(
            f"{text[:64]!r} names several machines; say which by its MAC or UUID: {names}",
            kind="ambiguous_machine",
        )
    return found[0]


def _named(text: str) -> Q:
    try:
        return Q(interfaces__mac=normalise_mac(text))
    except ValueError:
        name = Q(interfaces__fqdn__iexact=text)
        if "." not in text:  # the short host name
            name |= Q(interfaces__fqdn__istartswith=f"{text}.")
        return Q(uuid=text.lower()) | Q(serial=text) | name
