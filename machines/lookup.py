"""The machine that a caller says it is."""

from __future__ import annotations

from enjoliver.common.errors import IdentityConflict, UnknownMachine
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
