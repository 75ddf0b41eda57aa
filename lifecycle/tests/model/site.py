"""The cluster of the model, with the truth about each machine, whatever the engine believes.

Each method is one thing that a machine, an operator or time does, through the real services. A
refusal (any of the engine's own errors) is an answer like another one.
"""

import copy
import json
from datetime import timedelta
from unittest import mock

from enjoliver.common.errors import EngineError
from enjoliver.common.rawquery import parse_raw_query
from lifecycle.fleetlock import ClientIdentity
from lifecycle.models import HealthGate, HealthGateState, LockGroup, RollingPolicy, Rollout, Slot
from lifecycle.rules.decide import decide
from lifecycle.services import (
    advance,
    advance_replacements,
    advance_rollouts,
    end_expired_maintenance,
    follow_desired,
    holder_id,
    lock_slot,
    release_slot,
    submit_report,
    unlock_slot,
)
from lifecycle.tests.factories import query_of
from lifecycle.tests.model.spares import WithSpares, answered
from lifecycle.tests.rollouts.world import digest
from machines.models import Machine
from matchbox_sync.models import DesiredConfig


class Site(WithSpares):
    """`down`: machines that do not run; `locks`: the group of which each agent remembers to hold a
    slot; `slots`: who should hold which slot, as (group, holder); `wells`: what each health gate
    would find."""

    names: dict[int, str]
    down: set[int]
    locks: dict[int, str]
    slots: dict[tuple[str, str], int]
    wells: dict[int, bool]

    def fork(self):
        """The same cluster for one more example; the database is the caller's business."""
        other = copy.copy(self)
        fresh = Machine.objects.in_bulk([machine.pk for machine in self.machines])
        other.plane = [fresh[machine.pk] for machine in self.plane]
        other.workers = [fresh[machine.pk] for machine in self.workers]
        other.free = [fresh[machine.pk] for machine in self.free]
        other.machines = [*other.plane, *other.workers, *other.free]
        other.running, other.contents = dict(self.running), dict(self.contents)
        other.names = {one.pk: f"machine {n}" for n, one in enumerate(other.machines)}
        other.down, other.retired = set(), {machine.pk for machine in other.free}
        other.new = set()
        other.locks, other.slots, other.wells = {}, {}, {}
        return other

    # --- time and the engine --------------------------------------------------------------------

    def beat(self, seconds):
        """Time passes; who runs reports; health gates are checked; the engine takes a step."""
        self.now += timedelta(seconds=seconds)
        self.everybody_reports()
        self.check_gates()
        self.step()

    def everybody_reports(self):
        """Who runs says what it runs."""
        for machine in self.members:
            if machine.pk not in self.down:
                self.report(machine)

    def step(self, now=None):
        """What beat asks of a worker."""
        follow_desired(machine_ids=[machine.pk for machine in self.machines], now=self.now)
        end_expired_maintenance(now=self.now)
        advance_rollouts(now=now or self.now)
        if self.free:
            advance_replacements(now=now or self.now)
            self.follow_roles()

    def step_overtaken_by(self, action):
        """A worker's step, in the middle of which, after it read everything, `action` happens."""
        overtaken: list[bool] = []
        real = decide

        def late(seen):
            if not overtaken:
                overtaken.append(True)
                action()
            return real(seen)

        with mock.patch.object(advance, "decide", late):
            self.step()

    # --- machines -------------------------------------------------------------------------------

    def begin(self, machine):
        """An agent asks for leave and takes the slot that it is told; with both it goes down."""
        leave = self.leave(machine)
        if leave is None or leave.strategy is None:
            return False
        if not self.take(machine, leave.group):
            return False
        self.locks[machine.pk] = leave.group
        self.down.add(machine.pk)
        return True

    def take(self, machine, group):
        """Ask for a slot of any group; True when the machine has it."""
        identity = ClientIdentity(holder_id(machine), group)
        try:
            lock_slot(identity=identity, now=self.now)
        except EngineError:
            return False
        self.slots[group, identity.id] = machine.pk
        return True

    def give_back(self, machine, group):
        """Say that the slot of `group` is not needed any more."""
        identity = ClientIdentity(holder_id(machine), group)
        if LockGroup.objects.filter(name=group).exists():
            unlock_slot(identity=identity, now=self.now)
        self.slots.pop((group, identity.id), None)

    def return_updated(self, machine):
        """It comes up with its desired config, says so and gives its slot back."""
        self.come_up(machine)
        self.apply(machine)
        self.report(machine)
        self.give_back_remembered(machine)

    def come_up(self, machine):
        """It runs again, with what it ran."""
        self.down.discard(machine.pk)

    def give_back_remembered(self, machine):
        """The agent gives back what it remembers to hold."""
        group = self.locks.pop(machine.pk, None)
        if group:
            self.give_back(machine, group)

    def say(self, machine, sha512):
        """It reports `sha512`, be it true or not."""
        body = json.dumps({"sha512": sha512}).encode()
        submit_report(query=parse_raw_query(query_of(machine)), body=body, now=self.now)

    def lie(self, machine):
        """It says that it runs what it should."""
        held = DesiredConfig.objects.filter(pk=machine.pk).first()
        if held:
            self.say(machine, held.sha512)

    def say_nonsense(self, machine):
        """It says that it runs what nobody ever gave it."""
        self.say(machine, digest(machine.pk, 999))

    def install(self, machine, success=True):
        """It installs itself, and comes up when that went well."""
        if not self.install_only(machine, success):
            return False
        if success:
            self.come_up(machine)
            self.apply(machine)
            self.report(machine)
        return True

    # --- operators ------------------------------------------------------------------------------

    def release(self, slot):
        """An operator frees a slot."""
        if answered(release_slot, slot=slot, actor="ada", reason="burnt", now=self.now) is None:
            self.slots.pop((slot.group.name, slot.holder), None)

    def add_gate(self, policy):
        """A health gate, which nobody has checked yet."""
        gate, _ = HealthGate.objects.get_or_create(
            policy=policy,
            name="door",
            defaults={
                "kind": "http",
                "config": {"url": "http://127.0.0.1:9/"},
                "interval_seconds": 600,
                "healthy_after": 1,
            },
        )
        self.wells.setdefault(gate.pk, True)

    def check_gates(self):
        """The checks find what is true, and write it as the checker does."""
        for gate in HealthGate.objects.all():
            is_well = self.wells.get(gate.pk, True)
            HealthGateState.objects.update_or_create(
                gate=gate,
                defaults={
                    "state": "healthy" if is_well else "unhealthy",
                    "was_good": is_well,
                    "streak": 1,
                    "message": "" if is_well else "it says 503",
                    "checked_at": self.now,
                },
            )

    # --- what is there --------------------------------------------------------------------------

    def policies(self):
        """In the order they were made."""
        return list(RollingPolicy.objects.select_related("cluster").order_by("pk"))

    def rollouts(self, *states):
        """The newest first."""
        rows = Rollout.objects.select_related("policy__cluster", "cluster", "revision")
        return list((rows.filter(state__in=states) if states else rows).order_by("-pk"))

    def held(self):
        """All held slots."""
        return list(Slot.objects.select_related("group", "machine").order_by("pk"))

    def groups(self):
        """Names of all FleetLock groups."""
        return sorted(LockGroup.objects.values_list("name", flat=True))

    def holder(self, machine):
        """The id that its agent takes slots with."""
        return holder_id(machine)
