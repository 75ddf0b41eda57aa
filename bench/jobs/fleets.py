"""Fleets in the database: made in bulk, row for row what the services write for one machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.core.management import call_command
from django.db import connection, models, transaction
from django.utils import timezone

from bench.documents import BODIES, make_document
from bench.yardstick.models import Mark
from lifecycle.models import IgnitionReport
from machines.discovery import DiscoveryReport, parse_report
from machines.models import Chassis, ChassisPort, Disk, Interface, Machine, StateChange
from machines.services import derive_locations
from machines.states import State
from matchbox_sync.documents import pack, store_documents
from matchbox_sync.models import DesiredConfig, MachineConfig, ProfileVersion, Revision
from scheduling.models import Assignment
from scheduling.services import default_cluster, run_scheduler
from simulator.facts import Identity, boot_journal, discovery_report, make_identity

SEED = 1
MACHINES_PER_RACK = 20
_CHUNK = 500


def identities(machines: int, *, first: int = 0, racks: int = 500) -> Iterator[Identity]:
    """The simulator's machines; the same index is the same machine in a fleet of any size."""
    return (make_identity(index, SEED, racks) for index in range(first, first + machines))


def report_of(who: Identity) -> DiscoveryReport:
    """What the machine would post to /discovery, parsed."""
    boot_id = f"00000000-0000-4000-8000-{who.index:012d}"
    journal = boot_journal(who, "http://127.0.0.1:5000/ignition-pxe", boot_id)
    return parse_report(discovery_report(who, boot_id=boot_id, journal=journal))


def build_empty() -> dict[str, Any]:
    """An engine that knows no machine."""
    call_command("migrate", interactive=False, verbosity=0, run_syncdb=True)
    return {}


def build_discovered(machines: int, is_database_new: bool) -> dict[str, Any]:
    """An engine that has just discovered `machines` machines, none with a role."""
    if is_database_new:
        build_empty()
    now = timezone.now() - timedelta(hours=1)
    for chunk in _chunks(list(identities(machines))):
        _create_discovered([report_of(who) for who in chunk], now)
    settle_database()
    return {"machines": Machine.objects.count()}


def build_reporting(machines: int, is_database_new: bool) -> dict[str, Any]:
    """A fleet that runs: roles, desired configs and a report of each; plus the yardstick's rows.

    Returns what a load generator must know.
    """
    build_discovered(machines, is_database_new)
    run_scheduler(cluster=default_cluster())
    bodies = [make_document(number) for number in range(BODIES)]
    digests = [hashlib.sha512(body).hexdigest() for body in bodies]
    store_documents(dict(zip(digests, bodies, strict=True)))
    revision = _first_revision()
    versions = {version.profile: version for version in revision.profiles.all()}
    for assignments in _chunks(list(Assignment.objects.order_by("pk"))):
        _create_configs(assignments, revision, versions, digests)
    now = timezone.now()
    Machine.objects.update(state=State.RUNNING, state_at=now, installed_at=now)
    _create_marks(now)
    settle_database()
    return fleet_document(digests)


def fleet_document(digests: Sequence[str]) -> dict[str, Any]:
    """{"digests": […], "machines": [[mac, uuid, index of its body], …]}."""
    places = {digest: at for at, digest in enumerate(digests)}
    rows = DesiredConfig.objects.order_by("pk").values_list(
        "machine__boot_mac", "machine__uuid", "sha512"
    )
    machines = [[mac, uuid, places[digest]] for mac, uuid, digest in rows]
    return {"digests": list(digests), "machines": machines}


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK))


@transaction.atomic
def _create_discovered(reports: Sequence[DiscoveryReport], now: datetime) -> None:
    machines = Machine.objects.bulk_create(
        Machine(
            uuid=report.uuid,
            boot_mac=report.boot_mac,
            state=State.DISCOVERY,
            state_at=now,
            created_at=now,
            updated_at=now,
            serial=report.hardware.serial,
            product=report.hardware.product,
            cpu_count=report.hardware.cpu_count,
            memory_bytes=report.hardware.memory_bytes,
            boot_id=report.boot_id,
            facts=report.facts,
            facts_digest=report.digest,
        )
        for report in reports
    )
    pairs = list(zip(machines, reports, strict=True))
    interfaces = Interface.objects.bulk_create(
        Interface(machine=machine, **asdict(one))
        for machine, report in pairs
        for one in report.interfaces
    )
    Disk.objects.bulk_create(
        Disk(machine=machine, **asdict(disk)) for machine, report in pairs for disk in report.disks
    )
    StateChange.objects.bulk_create(
        StateChange(machine=machine, to_state=State.DISCOVERY, reason="first report", at=now)
        for machine in machines
    )
    _create_ports(pairs, interfaces)
    derive_locations([machine.pk for machine in machines])


def _create_ports(
    pairs: Sequence[tuple[Machine, DiscoveryReport]], interfaces: Iterable[Interface]
) -> None:
    links = [(machine, link) for machine, report in pairs for link in report.lldp]
    Chassis.objects.bulk_create(
        (Chassis(chassis_id=link.chassis_id, name=link.chassis_name) for _, link in links),
        ignore_conflicts=True,
    )
    chassis = Chassis.objects.in_bulk(
        {link.chassis_id for _, link in links}, field_name="chassis_id"
    )
    by_name = {(one.machine_id, one.name): one for one in interfaces}
    ChassisPort.objects.bulk_create(
        ChassisPort(
            interface=by_name[machine.pk, link.interface],
            chassis=chassis[link.chassis_id],
            port_id=link.port_id,
        )
        for machine, link in links
    )


def _first_revision() -> Revision:
    cluster, now = default_cluster(), timezone.now()
    revision = Revision.objects.create(
        cluster=cluster, number=1, fingerprint="bench", cause="bench", created_at=now
    )
    for profile in Assignment.objects.order_by().values_list("profile", flat=True).distinct():
        revision.profiles.add(
            ProfileVersion.objects.create(
                cluster=cluster, profile=profile, fingerprint="bench", template_name="bench.yaml"
            )
        )
    return revision


@transaction.atomic
def _create_configs(
    assignments: Sequence[Assignment],
    revision: Revision,
    versions: dict[str, ProfileVersion],
    digests: Sequence[str],
) -> None:
    now, metadata = timezone.now(), pack(json.dumps({"hostname": "bench"}).encode())
    configs = MachineConfig.objects.bulk_create(
        MachineConfig(
            machine_id=one.machine_id,
            revision=revision,
            version=versions[one.profile],
            fingerprint=f"bench-{one.machine_id}",
            mac=one.boot_mac,
            document_id=digests[one.machine_id % len(digests)],
            canonical_sha512=f"{one.machine_id:0128x}",
            metadata_zstd=metadata,
        )
        for one in assignments
    )
    DesiredConfig.objects.bulk_create(
        DesiredConfig(
            machine_id=config.machine_id,
            config=config,
            newest=config,
            profile=config.version.profile,
            sha512=config.document_id,
            canonical_sha512=config.canonical_sha512,
            assigned_at=now,
        )
        for config in configs
    )
    IgnitionReport.objects.bulk_create(
        IgnitionReport(
            machine_id=config.machine_id,
            is_up_to_date=True,
            sha512=config.document_id,
            canonical_sha512=config.canonical_sha512,
            reported_at=now,
            created_at=now,
        )
        for config in configs
    )


def _create_marks(now: datetime) -> None:
    macs = Machine.objects.values_list("boot_mac", flat=True)
    rows: list[models.Model] = [Mark(mac=mac, seen_at=now) for mac in macs]
    for chunk in _chunks(rows):
        Mark.objects.bulk_create(chunk)


def settle_database() -> None:
    """PostgreSQL gathers statistics for its planner by itself within a minute; SQLite never."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
