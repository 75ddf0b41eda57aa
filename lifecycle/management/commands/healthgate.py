"""`manage.py healthgate list|check`: the health gates of policies; `policy apply` keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from enjoliver.common.times import rfc3339
from lifecycle.models import HealthGate
from lifecycle.rules.health import UNKNOWN, is_stale
from lifecycle.services import Checked, check_gates_now
from lifecycle.services.gates import health_of


class Command(BaseCommand):
    """Reading, and asking by hand."""

    help = "Health gates: what stands in the way of rollouts outside the engine."

    def add_arguments(self, parser: CommandParser) -> None:
        """The two sub-commands."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("list", help="all health gates with their last results")
        verbs.add_parser("check", help="check now; exit code 1 when a result is bad")
        for verb in verbs.choices.values():
            verb.add_argument("policy", nargs="?", default="", metavar="POLICY")
            verb.add_argument("name", nargs="?", default="", metavar="GATE")
            verb.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb."""
        gates = _find(options["policy"], options["name"])
        if options["verb"] == "list":
            self._list(gates, options)
        else:
            self._check(gates, options)

    def _list(self, gates: list[HealthGate], options: Mapping[str, Any]) -> None:
        documents = [_document(gate) for gate in gates]
        if options["json"]:
            self.stdout.write(json.dumps(documents, indent=2))
            return
        for one in documents:
            state = one["state"] if one["is_enabled"] else "disabled"
            checked = f" ({one['checked_at']})" if one["checked_at"] else ""
            said = f": {one['message']}" if one["message"] else ""
            self.stdout.write(f"{one['policy']} {one['name']} {one['kind']} {state}{said}{checked}")
        if not documents:
            self.stdout.write("no health gates: nothing is asked")

    def _check(self, gates: list[HealthGate], options: Mapping[str, Any]) -> None:
        checked = sorted(check_gates_now(gates), key=lambda one: str(one.gate))
        if options["json"]:
            self.stdout.write(json.dumps([_result(one) for one in checked], indent=2))
        else:
            for one in checked:
                word = "good" if one.result.is_good else "BAD"
                self.stdout.write(f"{one.gate.policy} {one.gate}: {word}: {one.result.message}")
        bad = [str(one.gate) for one in checked if not one.result.is_good]
        if bad:
            raise CommandError(f"not well: {', '.join(bad)}")


def _find(policy: str, name: str) -> list[HealthGate]:
    gates = HealthGate.objects.select_related("policy", "result")
    gates = gates.order_by("policy__name", "name")
    if policy:
        gates = gates.filter(policy__name=policy)
    if name:
        gates = gates.filter(name=name)
    found = list(gates)
    if policy and not found:
        raise CommandError(f"policy {policy} has no health gate {name}".rstrip())
    return found


def _document(gate: HealthGate) -> dict[str, Any]:
    health = health_of(gate)
    is_old = is_stale(health, gate.pace, timezone.now())
    return {
        "policy": gate.policy.name,
        "name": gate.name,
        "kind": gate.kind,
        "is_enabled": gate.is_enabled,
        "state": UNKNOWN if is_old else health.state,
        "message": health.message,
        "checked_at": rfc3339(health.checked_at),
    }


def _result(checked: Checked) -> dict[str, Any]:
    return {
        "policy": checked.gate.policy.name,
        "name": checked.gate.name,
        "is_good": checked.result.is_good,
        "message": checked.result.message,
        "state": checked.health.state if checked.health else UNKNOWN,
    }
