"""What a plan says of machines: how each would change, and why not, or not yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.utils import timezone

from lifecycle.maintained import maintenance_machine_ids
from lifecycle.models import IgnitionReport, MachineStrategy, RollingPolicy
from lifecycle.rules.selector import choose_policy
from lifecycle.rules.states import NO_STRATEGY
from lifecycle.services.away import heard_since
from lifecycle.services.holds import gates_reason, hold_reason
from lifecycle.services.membership import Ranked, enabled_policies, placed_machines
from machines.models import Machine
from matchbox_sync.advice import Advice

_SILENT_SECONDS = 300


def plan_advice(machine_ids: Collection[int]) -> Mapping[int, Advice]:
    """Advice by machine id, for `matchbox_sync.advice.set_advisor`. A few queries, and a few more
    for each policy concerned."""
    return _Advisor(machine_ids).advise()


class _Advisor:
    """One look at the machines of a plan."""

    def __init__(self, machine_ids: Collection[int]) -> None:
        self.now = timezone.now()
        self.ids = list(machine_ids)
        self.placed = placed_machines(machine_ids=self.ids)
        rows = MachineStrategy.objects.filter(pk__in=self.ids)
        self.own = {row.pk: row for row in rows}
        self.maintenance = maintenance_machine_ids(self.ids, self.now)
        reports = IgnitionReport.objects.filter(pk__in=self.ids)
        self.reported = dict(reports.values_list("pk", "reported_at"))
        installed = Machine.objects.filter(pk__in=self.ids, installed_at__isnull=False)
        self.installed = set(installed.values_list("pk", flat=True))
        self.policies: dict[int, list[Ranked]] = {}
        self.holds: dict[int, str] = {}

    def advise(self) -> dict[int, Advice]:
        found = {}
        for placed in self.placed:
            ranked = self._policies_of(placed.cluster_id)
            chosen = choose_policy(ranked, placed.subject)
            machine_id = placed.subject.machine_id
            policy = chosen.policy if chosen else None
            found[machine_id] = Advice(
                self._action(machine_id, policy), self._blocked(machine_id, policy)
            )
        return found

    def _policies_of(self, cluster_id: int) -> list[Ranked]:
        if cluster_id not in self.policies:
            self.policies[cluster_id] = enabled_policies(cluster_id)
        return self.policies[cluster_id]

    def _action(self, machine_id: int, policy: RollingPolicy | None) -> str:
        if machine_id not in self.installed:
            return "installs with the new config"
        own = self.own.get(machine_id)
        strategy = own.strategy if own and own.is_enabled else policy.strategy if policy else ""
        if not strategy:
            return "keeps running what it runs: no policy and no strategy"
        if strategy == NO_STRATEGY:
            return f"has the new config from its next start on, under policy {policy}"
        return (
            f"{strategy} under policy {policy}"
            if policy
            else f"{strategy}, as its own strategy says"
        )

    def _blocked(self, machine_id: int, policy: RollingPolicy | None) -> str:
        if machine_id not in self.installed:
            return ""
        own = self.own.get(machine_id)
        if own and not own.is_enabled:
            return "blocked by an operator: its strategy is disabled"
        if machine_id in self.maintenance:
            return "it is in maintenance"
        if self._is_silent(machine_id, policy):
            return "it is silent"
        return self._hold(policy) if policy else ""

    def _is_silent(self, machine_id: int, policy: RollingPolicy | None) -> bool:
        seconds = policy.silent_seconds if policy else _SILENT_SECONDS
        earliest, latest = heard_since(self.now, seconds)
        reported_at = self.reported.get(machine_id)
        return reported_at is None or not earliest <= reported_at <= latest

    def _hold(self, policy: RollingPolicy) -> str:
        if policy.pk not in self.holds:
            why = hold_reason(policy, self.now) or gates_reason(policy.pk, self.now)
            self.holds[policy.pk] = why
        return self.holds[policy.pk]
