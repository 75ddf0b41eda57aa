"""`manage.py why [MACHINE]`: why is nothing happening?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from enjoliver.common.errors import EngineError
from enjoliver.common.words import counted
from lifecycle.answers import Answer
from lifecycle.models import RollingPolicy, Rollout
from lifecycle.reads import unruled_reports
from lifecycle.rules.states import ACTIVE_STATES
from lifecycle.services import freezes_in_force
from lifecycle.why import why_machine, why_rollout
from machines.lookup import find_named_machine
from matchbox_sync.models import ChangeState, PendingChange


class Command(BaseCommand):
    """Of one machine, or of all rollouts that are active."""

    help = "Why a machine, or each active rollout, does what it does, or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        """The machine, if one is meant."""
        parser.add_argument(
            "machine", nargs="?", metavar="MACHINE", help="MAC, UUID, serial or name"
        )
        parser.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Answer; an unknown machine is a CommandError."""
        try:
            answers = self._answers(options["machine"])
        except EngineError as error:
            raise CommandError(error.value) from error
        if options["json"]:
            found = [{"about": about, **answer.as_json()} for about, answer in answers]
            self.stdout.write(json.dumps(found, indent=2, ensure_ascii=False))
            return
        for about, answer in answers:
            self.stdout.write(f"{about}: {answer.sentence}")
            for line in answer.details:
                self.stdout.write(f"  {line}")
        if not answers:
            self.stdout.write("no rollout is active; `why MACHINE` asks about one machine")
            for line in _standing():
                self.stdout.write(f"  {line}")
        unruled = 0 if options["machine"] else unruled_reports().count()
        if unruled:
            said = counted(unruled, "outdated machine has", "outdated machines have")
            self.stdout.write(f"{said} neither a rolling policy nor a strategy: nothing changes")

    def _answers(self, name: str | None) -> list[tuple[str, Answer]]:
        if name:
            machine = find_named_machine(name)
            return [(str(machine), why_machine(machine))]
        rollouts = Rollout.objects.filter(state__in=ACTIVE_STATES).select_related("policy__cluster")
        return [(str(rollout), why_rollout(rollout)) for rollout in rollouts]


def _standing() -> Iterator[str]:
    """What keeps changes from coming to a rollout at all."""
    for change in PendingChange.objects.filter(closed_at=None, state=ChangeState.WAITING):
        yield f"waits for approval, {change.why}: {change}"
    for freeze in freezes_in_force(timezone.now()).select_related("cluster", "policy"):
        yield f"a freeze of {freeze.scope} by {freeze.created_by}: {freeze.reason}"
    if not RollingPolicy.objects.filter(is_enabled=True).exists():
        yield "no policy is enabled: machines change when an operator sets a strategy"
