"""A small cluster for tests of rollouts: machines with configs and reports, and what agents do.

Everything goes through the services with an explicit time; only what a sync writes (revisions and
configs) is written here, in the sync's own order and by its own release policy.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

from enjoliver.common.errors import Conflict
from enjoliver.common.rawquery import parse_raw_query
from lifecycle.fleetlock import ClientIdentity
from lifecycle.models import IgnitionReport, RollingPolicy, Rollout, RolloutMachine
from lifecycle.services import (
    advance_rollouts,
    apply_policy,
    holder_id,
    lock_slot,
    read_leave,
    submit_report,
    unlock_slot,
)
from lifecycle.tests.factories import query_of
from machines.models import Machine
from matchbox_sync.documents import pack
from matchbox_sync.models import (
    DesiredConfig,
    Document,
    MachineConfig,
    ProfileVersion,
    Revision,
)
from matchbox_sync.services.revisions import released
from scheduling.models import Cluster
from scheduling.roles import CONTROL_PLANE_ROLES, PROFILE_CONTROL_PLANE, PROFILE_NODE, RoleName
from scheduling.tests.factories import AssignmentFactory, make_machine

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
VALUES = {"kubernetes_version": "1.34.1"}


def digest(machine_id, number):
    """The SHA-512 of the config that the machine has from revision `number`."""
    return hashlib.sha512(f"{machine_id}:{number}".encode()).hexdigest()


class World:
    """`workers` and `plane` machines of the cluster `default`, all running revision 1 at `now`."""

    def __init__(self, workers=0, plane=0, racks=4):
        self.now = NOON
        self.cluster = Cluster.objects.get(name="default")
        if plane:
            Cluster.objects.filter(pk=self.cluster.pk).update(control_plane_size=plane)
            self.cluster.refresh_from_db()
        self.plane = [self._machine(n, n % racks, CONTROL_PLANE_ROLES) for n in range(1, plane + 1)]
        self.workers = [
            self._machine(n, n % racks, (RoleName.NODE,))
            for n in range(plane + 1, plane + workers + 1)
        ]
        self.machines = [*self.plane, *self.workers]
        self.running = {}
        self.contents = {}
        self.revision = self.new_revision()
        for machine in self.machines:
            self.running[machine.pk] = 1
        self.report_all()

    def _machine(self, number, rack, roles):
        machine = make_machine(
            number,
            fqdn=f"r{rack}-srv{number}.dc1.example.test",
            labels={"rack": str(rack)},
            installed_at=NOON - timedelta(days=1),
            state="running",
        )
        AssignmentFactory.create(machine=machine, held=roles)
        return Machine.objects.get(pk=machine.pk)

    # --- what a sync does -----------------------------------------------------------------------

    def new_revision(self, values=None, machines=None, content=None):
        """A completed revision with a new config for each of `machines` (default: all); with
        `content` it goes back to that earlier revision, and has its documents."""
        number = Revision.objects.filter(cluster=self.cluster).count() + 1
        self.contents[number] = self.content(content) if content else number
        revision = Revision.objects.create(
            cluster=self.cluster,
            number=number,
            fingerprint=str(number),
            cause="test",
            values=VALUES if values is None else values,
            back_to=content,
            created_at=self.now,
        )
        for machine in self.machines if machines is None else machines:
            self._configure(machine, revision)
        Revision.objects.filter(pk=revision.pk).update(completed_at=self.now)
        revision.refresh_from_db()
        return revision

    def content(self, number):
        """Of which revision the documents of revision `number` are."""
        return self.contents.get(number, number)

    def _configure(self, machine, revision):
        sha512 = digest(machine.pk, self.content(revision.number))
        Document.objects.get_or_create(sha512=sha512, defaults={"data": pack(b"{}"), "size": 2})
        profile = machine.assignment.profile
        version, _ = ProfileVersion.objects.get_or_create(
            cluster=self.cluster,
            profile=profile,
            fingerprint="1",
            defaults={"template": "{}", "template_name": f"{profile}.1.yaml"},
        )
        config = MachineConfig.objects.create(
            machine=machine,
            revision=revision,
            version=version,
            fingerprint=sha512[:64],
            mac=machine.boot_mac,
            document_id=sha512,
            canonical_sha512=sha512,
            metadata_zstd=pack(b"{}"),
        )
        held = DesiredConfig.objects.filter(pk=machine.pk).first()
        if held is None or machine.pk in released(revision, [machine.pk]):
            DesiredConfig.objects.update_or_create(
                machine=machine,
                defaults={
                    "config": config,
                    "newest": config,
                    "previous": held.config if held else None,
                    "profile": profile,
                    "sha512": sha512,
                    "canonical_sha512": sha512,
                    "assigned_at": self.now,
                },
            )
        else:
            DesiredConfig.objects.filter(pk=machine.pk).update(newest=config)

    # --- what operators do ----------------------------------------------------------------------

    def policy(self, name="workers", **fields):
        """Apply a policy, by default for the workers, without a settling time."""
        roles = [PROFILE_CONTROL_PLANE] if name == "plane" else [PROFILE_NODE]
        document = {"name": name, "selector": {"roles": roles}, "settle_seconds": 0} | fields
        apply_policy(document=document, actor="ada", now=self.now)
        return RollingPolicy.objects.select_related("cluster").get(name=name)

    # --- what machines do -----------------------------------------------------------------------

    def report(self, machine):
        """It reports what it runs."""
        body = json.dumps({"sha512": digest(machine.pk, self.running[machine.pk])}).encode()
        return submit_report(query=parse_raw_query(query_of(machine)), body=body, now=self.now)

    def report_all(self, except_for=()):
        """Everybody reports but `except_for`."""
        for machine in self.machines:
            if machine not in except_for:
                self.report(machine)

    def leave(self, machine):
        """What the engine lets it do now."""
        return read_leave(machine=machine, now=self.now)

    def lock(self, machine, group=None):
        """Take the slot that its leave names (or one of `group`); True when it has it."""
        leave = self.leave(machine)
        identity = ClientIdentity(holder_id(machine), group or leave.group)
        try:
            lock_slot(identity=identity, now=self.now)
        except Conflict:
            return False
        return True

    def unlock(self, machine, group=None):
        """Give its slot back."""
        leave = self.leave(machine)
        name = group or leave.group
        unlock_slot(identity=ClientIdentity(holder_id(machine), name), now=self.now)

    def apply(self, machine):
        """It restarts with its desired config."""
        desired = DesiredConfig.objects.select_related("config__revision").get(pk=machine.pk)
        self.running[machine.pk] = self.content(desired.config.revision.number)

    def update(self, machine):
        """A whole update as an agent makes it; True when it had leave and a slot."""
        if self.leave(machine).strategy is None or not self.lock(machine):
            return False
        self.apply(machine)
        self.report(machine)
        self.unlock(machine)
        return True

    # --- time -----------------------------------------------------------------------------------

    def advance(self, seconds=5, silent=()):
        """Let time pass in steps of a minute, in each of which all machines report (but `silent`
        ones) and beat takes a step."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            self.now = min(end, self.now + MINUTE)
            self.report_all(except_for=silent)
            advance_rollouts(now=self.now)

    # --- what is seen ---------------------------------------------------------------------------

    def rollout(self, policy=None):
        """The newest rollout, or that of a policy."""
        rollouts = Rollout.objects.order_by("-pk")
        return (rollouts.filter(policy=policy) if policy else rollouts).first()

    def states(self, rollout=None):
        """State of each place, in the order of the rollout."""
        rollout = rollout or self.rollout()
        return list(rollout.machines.order_by("position").values_list("state", flat=True))

    def place(self, machine, rollout=None):
        """A machine's place."""
        return RolloutMachine.objects.get(rollout=rollout or self.rollout(), machine=machine)

    def desired(self, machine):
        """The number of the revision that the machine shall run."""
        return DesiredConfig.objects.get(pk=machine.pk).config.revision.number

    def reports(self):
        """How many machines report that they are up to date."""
        return IgnitionReport.objects.filter(is_up_to_date=True).count()
