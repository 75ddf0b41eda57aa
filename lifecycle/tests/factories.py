"""Rows of lifecycle for tests, and desired configs of machines."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

import factory
import rfc8785
from factory.django import DjangoModelFactory

from lifecycle.models import InstallAttempt, InstallGate, LockGroup, MachineStrategy, Slot
from machines.models import Machine
from machines.tests.factories import MachineFactory
from matchbox_sync.documents import pack
from matchbox_sync.models import (
    DesiredConfig,
    Document,
    MachineConfig,
    ProfileVersion,
    Revision,
)
from scheduling.models import Cluster

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


class AttemptFactory(DjangoModelFactory[InstallAttempt]):
    """An open grant of the install gate."""

    class Meta:
        model = InstallAttempt

    machine = factory.SubFactory(MachineFactory)
    gate = factory.LazyFunction(lambda: InstallGate.objects.get_or_create(site="default")[0])
    attempt_id = factory.Faker("uuid4", cast_to=None)
    source = "10.64.0.11"
    raw_query = factory.LazyAttribute(lambda attempt: query_of(attempt.machine))
    granted_at = NOON
    last_asked_at = NOON
    deadline_at = NOON + timedelta(seconds=1800)


class StrategyFactory(DjangoModelFactory[MachineStrategy]):
    """A machine that may use kexec."""

    class Meta:
        model = MachineStrategy

    machine = factory.SubFactory(MachineFactory)
    created_at = NOON


class SlotFactory(DjangoModelFactory[Slot]):
    """A held slot of the group `default`."""

    class Meta:
        model = Slot

    group = factory.LazyFunction(lambda: LockGroup.objects.get_or_create(name="default")[0])
    holder = factory.Sequence(lambda n: f"holder-{n}")
    acquired_at = NOON
    last_seen_at = NOON


def query_of(machine: Machine) -> str:
    """The raw query that the machine sends."""
    return f"uuid={machine.uuid}&mac={machine.boot_mac.replace(':', '-')}&os=installed"


def desire(machine: Machine, body: bytes) -> DesiredConfig:
    """Make `body` (JSON) the desired config of `machine`, as a sync does."""
    cluster, _ = Cluster.objects.get_or_create(name="default")
    number = Revision.objects.filter(cluster=cluster).count() + 1
    revision = Revision.objects.create(
        cluster=cluster, number=number, fingerprint=str(number), cause="test", created_at=NOON
    )
    version, _ = ProfileVersion.objects.get_or_create(
        cluster=cluster,
        profile="kubernetes-node",
        fingerprint="1",
        defaults={"template": "{}", "template_name": "kubernetes-node.1.yaml"},
    )
    sha512 = hashlib.sha512(body).hexdigest()
    canonical = hashlib.sha512(rfc8785.dumps(json.loads(body))).hexdigest()
    document, _ = Document.objects.get_or_create(
        sha512=sha512, defaults={"data": pack(body), "size": len(body)}
    )
    config = MachineConfig.objects.create(
        machine=machine,
        revision=revision,
        version=version,
        fingerprint=sha512[:64],
        mac=machine.boot_mac,
        document=document,
        canonical_sha512=canonical,
        metadata_zstd=pack(b"{}"),
    )
    return DesiredConfig.objects.update_or_create(
        machine=machine,
        defaults={
            "config": config,
            "newest": config,
            "profile": "kubernetes-node",
            "sha512": sha512,
            "canonical_sha512": canonical,
            "assigned_at": NOON,
        },
    )[0]
