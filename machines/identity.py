"""Which machine a report is of: the one with its UUID that shares a MAC. Reads only."""

from __future__ import annotations

from django.db.models import Q

from machines.models import Machine
from machines.report import DiscoveryReport


def known_machine(report: DiscoveryReport) -> Machine | None:
    """The stored machine with the report's UUID and any of its MACs, or None; `facts` deferred.

    Of several the one with the same boot MAC, then the oldest. A machine whose interfaces were
    all swapped is another one: nothing tells it from a second board with the same UUID.
    """
    sharing = Machine.objects.filter(uuid=report.uuid, interfaces__mac__in=report.macs)
    machines = {machine.pk: machine for machine in sharing.defer("facts")}
    return min(
        machines.values(),
        key=lambda machine: (machine.boot_mac != report.boot_mac, machine.pk),
        default=None,
    )


def free_discriminator(report: DiscoveryReport) -> str:
    """What tells a further machine with this UUID apart: "" for the first one, else a MAC.

    The boot MAC, unless a machine that lost that interface still goes by it; then another MAC,
    or the boot MAC with a number.
    """
    same_uuid = Machine.objects.filter(uuid=report.uuid)
    if not same_uuid.exists():
        return ""
    similar = Q(discriminator__in=report.macs) | Q(discriminator__startswith=report.boot_mac)
    taken = set(same_uuid.filter(similar).values_list("discriminator", flat=True))
    numbered = (f"{report.boot_mac}#{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (*report.macs, *numbered) if name not in taken)
