"""`manage.py rollout start|status|pause|resume|skip|abort|rollback`."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from enjoliver.common.errors import EngineError
from lifecycle.models import Rollout
from lifecycle.rolloutdocs import counted_rollouts, shown_places, shown_rollout
from lifecycle.rules.states import ACTIVE_STATES
from lifecycle.services import (
    abort_rollout,
    advance_rollout,
    pause_rollout,
    resume_rollout,
    roll_back_rollout,
    skip_machine,
    start_rollout,
)
from lifecycle.services.finding import find_policy, find_rollout
from lifecycle.why import why_rollout
from machines.lookup import find_named_machine


class Command(BaseCommand):
    """One sub-command a verb; a rollout goes by its number or by its policy's name."""

    help = "Rollouts: a revision on its way through the machines of a policy."

    def add_arguments(self, parser: CommandParser) -> None:
        """The seven sub-commands."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        start = verbs.add_parser("start", help="begin one that is ready, or one over all behind")
        start.add_argument("policy", metavar="POLICY")
        status = verbs.add_parser("status", help="all active ones, or one with its machines")
        status.add_argument("rollout", metavar="ROLLOUT", nargs="?")
        for name, text in (
            ("pause", "let nobody begin"),
            ("resume", "go on; also: confirm the next stage"),
            ("skip", "leave a machine out"),
            ("abort", "give it up"),
            ("rollback", "make what it came from the newest revision again"),
        ):
            verb = verbs.add_parser(name, help=text)
            verb.add_argument("rollout", metavar="ROLLOUT")
            if name == "skip":
                verb.add_argument("machine", metavar="MACHINE", help="MAC, UUID, serial or name")
            if name != "resume":
                verb.add_argument("--reason", required=True, help="why; kept with who asked")
        for verb in verbs.choices.values():
            verb.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb; a refusal is a CommandError with the reason."""
        self.actor = f"{getpass.getuser()} (command line)"
        try:
            getattr(self, f"_{options['verb']}")(options)
        except EngineError as error:
            raise CommandError(error.value) from error

    def _start(self, options: Mapping[str, Any]) -> None:
        rollout = start_rollout(policy=find_policy(options["policy"]), actor=self.actor)
        advance_rollout(rollout_id=rollout.pk)
        self._show(rollout, options)

    def _status(self, options: Mapping[str, Any]) -> None:
        if options["rollout"]:
            self._show(find_rollout(options["rollout"]), options, with_machines=True)
            return
        active = list(counted_rollouts().filter(state__in=ACTIVE_STATES))
        if options["json"]:
            self._json([_explained(rollout) for rollout in active])
            return
        for rollout in active:
            self._write(_explained(rollout))
        if not active:
            self.stdout.write("no rollout is active")

    def _pause(self, options: Mapping[str, Any]) -> None:
        rollout = find_rollout(options["rollout"])
        self._show(
            pause_rollout(rollout=rollout, actor=self.actor, reason=options["reason"]), options
        )

    def _resume(self, options: Mapping[str, Any]) -> None:
        rollout = find_rollout(options["rollout"])
        self._show(resume_rollout(rollout=rollout, actor=self.actor), options)

    def _skip(self, options: Mapping[str, Any]) -> None:
        rollout = find_rollout(options["rollout"])
        machine = find_named_machine(options["machine"])
        skip_machine(rollout=rollout, machine=machine, actor=self.actor, reason=options["reason"])
        self._show(rollout, options)

    def _abort(self, options: Mapping[str, Any]) -> None:
        rollout = find_rollout(options["rollout"])
        self._show(
            abort_rollout(rollout=rollout, actor=self.actor, reason=options["reason"]), options
        )

    def _rollback(self, options: Mapping[str, Any]) -> None:
        rollout = find_rollout(options["rollout"])
        made = roll_back_rollout(rollout=rollout, actor=self.actor, reason=options["reason"])
        if options["json"]:
            self._json({"revision": made.number, "cause": made.cause})
        else:
            self.stdout.write(f"revision {made.number}: {made.cause}")

    def _show(
        self, rollout: Rollout, options: Mapping[str, Any], *, with_machines: bool = False
    ) -> None:
        found = _explained(counted_rollouts().get(pk=rollout.pk))
        if with_machines:
            places = rollout.machines.select_related("machine__assignment").order_by("position")
            found["places"] = shown_places(places)
        if options["json"]:
            self._json(found)
        else:
            self._write(found)

    def _json(self, document: Any) -> None:
        self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))

    def _write(self, found: Mapping[str, Any]) -> None:
        counts = ", ".join(f"{n} {state}" for state, n in found["machines"].items() if n)
        self.stdout.write(
            f"rollout {found['id']} of {found['policy']} to revision {found['revision']}: "
            f"{found['state']}, stage {found['stage']} of {len(found['stages'])}; {counts}"
        )
        self.stdout.write(f"  {found['why']['answer']}")
        for line in found["why"]["details"]:
            self.stdout.write(f"  {line}")
        for place in found.get("places", []):
            reason = f": {place['reason']}" if place["reason"] else ""
            name = place["fqdn"] or place["mac"]
            self.stdout.write(f"  {place['position']:>5} {place['state']:<9} {name}{reason}")


def _explained(rollout: Any) -> dict[str, Any]:
    return {**shown_rollout(rollout), "why": why_rollout(rollout).as_json()}
