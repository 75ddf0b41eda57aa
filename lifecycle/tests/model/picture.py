"""Everything that the invariants look at, read from the tables at one moment.

Nothing here asks the engine's own rules: who is unavailable, what a limit allows, whether a window
is open is said a second time, from the words of docs/rollouts.md.
"""

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from lifecycle.models import (
    ChangeClock,
    Freeze,
    HealthGate,
    IgnitionReport,
    MachineStrategy,
    Maintenance,
    PolicyMember,
    Replacement,
    RollingPolicy,
    Rollout,
    RolloutMachine,
    Slot,
)
from machines.models import Machine
from matchbox_sync.models import DesiredConfig
from scheduling.models import Assignment

ACTIVE = {"ready", "running", "paused"}
LET_GO = {"open", "updating", "failed"}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ROLES = {
    "kubernetes-node": {"kubernetes-node"},
    "etcd-member-kubernetes-control-plane": {
        "etcd-member-kubernetes-control-plane",
        "etcd-member",
        "kubernetes-control-plane",
    },
}
PLANE = "etcd-member-kubernetes-control-plane"


def amount(text, total):
    """`2` or `25%` of `total`, rounded down, at least one."""
    return max(1, total * int(text[:-1]) // 100) if text.endswith("%") else int(text)


class Picture:
    """The tables at `now`."""

    def __init__(self, cluster, now):
        self.now, self.cluster = now, cluster
        self.policies = {row.pk: row for row in RollingPolicy.objects.all()}
        self.members = {row.pk: row for row in PolicyMember.objects.all()}
        self.members_at = list(ChangeClock.objects.order_by("pk").values_list("members_at"))
        self.machines = Machine.objects.defer("facts").in_bulk()
        self.reports = {row.pk: row for row in IgnitionReport.objects.all()}
        self.rollouts = {row.pk: row for row in Rollout.objects.all()}
        self.places = list(RolloutMachine.objects.order_by("rollout_id", "position"))
        self.slots = list(Slot.objects.select_related("group"))
        self.freezes = list(Freeze.objects.filter(lifted_at=None))
        self.gates = list(HealthGate.objects.filter(is_enabled=True).select_related("result"))
        self.cared_for = {
            row.pk
            for row in Maintenance.objects.all()
            if row.until_at is None or row.until_at > now
        }
        self.blocked = set(
            MachineStrategy.objects.filter(is_enabled=False).values_list("pk", flat=True)
        )
        self.profiles = dict(Assignment.objects.values_list("machine_id", "profile"))
        self.desired = {
            row.pk: row
            for row in DesiredConfig.objects.select_related("config__revision", "newest__revision")
        }
        self.replacements = {row.pk: row for row in Replacement.objects.all()}
        self.by_machine = {
            place.machine_id: place
            for place in self.places
            if self.rollouts[place.rollout_id].state in ACTIVE and place.state in LET_GO
        }
        self.holders = {slot.machine_id for slot in self.slots if slot.machine_id is not None}

    # --- who belongs where ----------------------------------------------------------------------

    def chosen(self, machine_id):
        """The one policy of a machine: of those that select it the highest priority, then name."""
        profile = self.profiles.get(machine_id)
        found = [
            policy
            for policy in self.policies.values()
            if profile and policy.is_enabled and self._selects(policy.selector, machine_id, profile)
        ]
        return min(found, key=lambda policy: (-policy.priority, policy.name), default=None)

    def _selects(self, selector, machine_id, profile):
        machine = self.machines[machine_id]
        if selector.get("roles") and not ROLES[profile] & set(selector["roles"]):
            return False
        names = {machine.uuid, machine.boot_mac}
        if selector.get("machines") and not names & set(selector["machines"]):
            return False
        labels = selector.get("labels", {})
        return all(machine.labels.get(key) == value for key, value in labels.items())

    def plane(self):
        """The control plane's machines."""
        return {pk for pk, profile in self.profiles.items() if profile == PLANE}

    def replaced(self):
        """Who goes and who comes in replacements that run."""
        running = [row for row in self.replacements.values() if row.state == "running"]
        return {pk for row in running for pk in (row.leaving_id, row.joining_id) if pk}

    # --- who is unavailable ---------------------------------------------------------------------

    def in_service(self, policy):
        """The policy's machines that ever reported, as the engine counts its members now."""
        return {
            pk: member
            for pk, member in self.members.items()
            if member.policy_id == policy.pk and pk in self.reports
        }

    def is_absent(self, machine_id, silent_seconds):
        """Silent, in maintenance, installing, or its install failed: whoever wanted it."""
        machine, report = self.machines[machine_id], self.reports.get(machine_id)
        return (
            report is None
            or abs(self.now - report.reported_at) > timedelta(seconds=silent_seconds)
            or machine.reinstall_requested_at is not None
            or machine.state == "installation_failed"
            or machine_id in self.cared_for
        )

    def is_let_go(self, machine_id):
        """Opened, updating or failed in an active rollout, or holding any slot."""
        return machine_id in self.by_machine or machine_id in self.holders

    def unavailable(self, policy):
        """Machine id to failure domain."""
        return {
            pk: member.domain or f"unknown {pk}"
            for pk, member in self.in_service(policy).items()
            if self.is_let_go(pk) or self.is_absent(pk, policy.silent_seconds)
        }

    def broken_limit(self, policy):
        """Which limit of the policy its unavailable machines break; "" when none."""
        total, away = self.in_service(policy), self.unavailable(policy)
        if len(away) > (most := amount(policy.max_unavailable, len(total))):
            return f"{len(away)} of {len(total)} are unavailable, allowed are {most}"
        sizes = Counter(member.domain for member in total.values())
        for domain, number in Counter(away.values()).items():
            text = policy.max_unavailable_per_domain
            if text and number > amount(text, sizes.get(domain, 1)):
                return f"{number} of {domain} are unavailable, allowed are {text}"
        if policy.max_domains and len(set(away.values())) > policy.max_domains:
            return f"machines of {sorted(set(away.values()))} are unavailable"
        return ""

    def broken_plane(self, policy, machine_id):
        """Why the control plane would suffer from this member's absence; "" when it does not."""
        plane = self.plane()
        others = plane - {machine_id}
        replaced = self.replaced()
        moving = sorted(pk for pk in others if self.is_let_go(pk) or pk in replaced)
        if moving:
            return f"{moving} of the control plane change at the same time"
        size = max(self.cluster.control_plane_size, len(plane))
        if size == 1:
            return "" if policy.accepts_downtime else "the only one, and no downtime is accepted"
        there = [pk for pk in others if not self.is_absent(pk, policy.silent_seconds)]
        if len(there) <= size // 2:
            return f"{len(there)} of {size} members of the control plane are left"
        return ""

    # --- what holds everybody -------------------------------------------------------------------

    def hold(self, policy):
        """A freeze, a closed window or a gate that is not healthy; "" when things may move."""
        for freeze in self.freezes:
            is_over = freeze.ends_at is not None and freeze.ends_at <= self.now
            is_ours = freeze.policy_id in (None, policy.pk)
            is_here = freeze.cluster_id in (None, policy.cluster_id)
            if not is_over and is_ours and is_here:
                return f"frozen: {freeze.reason}"
        if policy.windows and not any(self._is_open(window) for window in policy.windows):
            return "the window is closed"
        return next((f"gate {gate}" for gate in self.gates if self._is_shut(gate, policy)), "")

    def _is_open(self, window):
        zone = ZoneInfo(window.get("time_zone", "UTC"))
        today = self.now.astimezone(zone).date()
        start = time.fromisoformat(window["start"])
        for back in range(8):
            day = today - timedelta(days=back)
            begin = datetime.combine(day, start, zone).astimezone(UTC)
            end = begin + timedelta(minutes=window["minutes"])
            if DAYS[day.weekday()] in window["days"] and begin <= self.now < end:
                return True
        return False

    def _is_shut(self, gate, policy):
        if gate.policy_id != policy.pk:
            return False
        result = getattr(gate, "result", None)
        if result is None or result.state != "healthy":
            return True
        age = (self.now - result.checked_at).total_seconds()
        if not -gate.interval_seconds <= age <= 3 * gate.interval_seconds:
            return True
        return any(
            place.finished_at > result.checked_at
            for place in self.places
            if place.state == "done"
            and place.updating_at
            and self.rollouts[place.rollout_id].policy_id == policy.pk
            and self.rollouts[place.rollout_id].state in ACTIVE
        )
