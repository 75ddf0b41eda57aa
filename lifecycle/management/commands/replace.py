"""`manage.py replace plan|start|status|again|cancel`: a control-plane member by a spare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from enjoliver.common.errors import NotFound
from lifecycle.machinedocs import plan_document, replacement_document
from lifecycle.models import Replacement, ReplacementState
from lifecycle.services import (
    advance_replacement,
    cancel_replacement,
    choose_again,
    plan_replacement,
    start_replacement,
)
from lifecycle.shell import VerbCommand, actor
from machines.lookup import find_named_machine
from machines.models import Machine

SHOWN = 20


class Command(VerbCommand):
    """Guided: it says what it waits for, and goes on by itself."""

    help = "Replace a member of a control plane, one at a time, only while a quorum is left."

    def add_arguments(self, parser: CommandParser) -> None:
        """The five verbs; a machine goes by MAC, UUID, serial number or name."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        plan = verbs.add_parser("plan", help="who could take the place, and what speaks against it")
        start = verbs.add_parser("start", help="begin")
        status = verbs.add_parser("status", help="how the last replacements stand")
        again = verbs.add_parser("again", help="take another spare: this one does not install")
        cancel = verbs.add_parser("cancel", help="stop")
        for verb in (plan, start):
            verb.add_argument("machine", metavar="MACHINE", help="the member that goes")
        for verb in (start, cancel):
            verb.add_argument("--reason", required=True, help="why; kept with who asked")
        for verb in (start, again):
            verb.add_argument("--spare", metavar="MACHINE", help="default: the best one")
        for verb in (again, cancel):
            verb.add_argument("id", nargs="?", type=int, help="default: the one that runs")
        for verb in (plan, start, status, again, cancel):
            verb.add_argument("--json", action="store_true", help="as JSON")

    def _plan(self, options: Mapping[str, Any]) -> Any:
        return plan_document(plan_replacement(machine=find_named_machine(options["machine"])))

    def _start(self, options: Mapping[str, Any]) -> Any:
        row = start_replacement(
            machine=find_named_machine(options["machine"]),
            actor=actor(),
            reason=options["reason"],
            spare=_spare(options),
        )
        return [replacement_document(row)]

    def _status(self, options: Mapping[str, Any]) -> Any:
        for row in Replacement.objects.filter(state=ReplacementState.RUNNING):
            advance_replacement(replacement=row)
        rows = Replacement.objects.select_related("cluster", "joining")[:SHOWN]
        return [replacement_document(row) for row in rows]

    def _again(self, options: Mapping[str, Any]) -> Any:
        row = choose_again(replacement=_find(options), actor=actor(), spare=_spare(options))
        return [replacement_document(row)]

    def _cancel(self, options: Mapping[str, Any]) -> Any:
        row = cancel_replacement(
            replacement=_find(options), actor=actor(), reason=options["reason"]
        )
        return [replacement_document(row)]

    def describe(self, document: Any, options: Mapping[str, Any]) -> list[str]:
        """The plan, or a few lines for each replacement."""
        if options["verb"] == "plan":
            return _describe_plan(document)
        return [line for one in document for line in _describe(one)] or ["no replacement yet"]


def _spare(options: Mapping[str, Any]) -> Machine | None:
    return find_named_machine(options["spare"]) if options["spare"] else None


def _find(options: Mapping[str, Any]) -> Replacement:
    rows = Replacement.objects.all()
    if options["id"] is None:
        rows = rows.filter(state=ReplacementState.RUNNING)
    else:
        rows = rows.filter(pk=options["id"])
    row = rows.first()
    if row is None:
        raise NotFound("there is no such replacement, or none runs")
    return row


def _describe_plan(plan: Mapping[str, Any]) -> list[str]:
    lines = [f"spread now: {plan['score_before']} of 100 by {plan['level']}"]
    lines += [f"NOT NOW: {one}" for one in plan["obstacles"]]
    lines += [f"mind: {one}" for one in plan["warnings"]]
    for one in plan["spares"]:
        kept = ", kept free for this" if one["is_kept_as_spare"] else ""
        place = one["domain"] or "unknown place"
        lines.append(f"spare {one['mac']} in {place}: spread {one['score_after']}{kept}")
    return lines + ([f"no spare: {plan['lack']}"] if plan["lack"] else [])


def _describe(row: Mapping[str, Any]) -> list[str]:
    who = f"{row['leaving']} by {row['joining'] or 'a spare to be chosen'}"
    lines = [f"{row['id']}: {who}: {row['state']} ({row['reason']}; {row['started_by']})"]
    if row["state"] == ReplacementState.RUNNING:
        lines.append(f"   next: {row['next']}")
    return lines + ([f"   {row['waits_for']}"] if row["waits_for"] else [])
