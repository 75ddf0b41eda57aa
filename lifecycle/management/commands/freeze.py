"""`manage.py freeze on|off|list`: nothing moves while a freeze is in force."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from enjoliver.common.errors import EngineError, InvalidInput
from lifecycle.models import Freeze
from lifecycle.rolloutdocs import shown_freeze
from lifecycle.services import add_freeze, freezes_in_force, lift_freeze
from lifecycle.services.finding import find_freeze, find_policy
from scheduling.models import Cluster


class Command(BaseCommand):
    """Without a scope a freeze stops everything."""

    help = "Stop everything that moves, or let it go on."

    def add_arguments(self, parser: CommandParser) -> None:
        """The three sub-commands."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        begin = verbs.add_parser("on", help="stop everything, one cluster, or one policy")
        begin.add_argument("--reason", required=True, help="why; machines are told so")
        begin.add_argument("--cluster", metavar="NAME")
        begin.add_argument("--policy", metavar="NAME")
        begin.add_argument("--hours", type=float, help="it ends by itself then")
        end = verbs.add_parser("off", help="lift freezes")
        end.add_argument("freezes", metavar="NUMBER", nargs="*", help="none: those of everything")
        listed = verbs.add_parser("list", help="freezes in force")
        listed.add_argument("--all", action="store_true", help="also those that ended")
        for verb in verbs.choices.values():
            verb.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb; a refusal is a CommandError with the reason."""
        self.actor = f"{getpass.getuser()} (command line)"
        try:
            self._write(getattr(self, f"_{options['verb']}")(options), options)
        except EngineError as error:
            raise CommandError(error.value) from error

    def _on(self, options: Mapping[str, Any]) -> list[Freeze]:
        now = timezone.now()
        return [
            add_freeze(
                reason=options["reason"],
                actor=self.actor,
                cluster=_cluster(options["cluster"]) if options["cluster"] else None,
                policy=find_policy(options["policy"]) if options["policy"] else None,
                ends_at=_end(options["hours"], now),
                now=now,
            )
        ]

    def _off(self, options: Mapping[str, Any]) -> list[Freeze]:
        chosen = [find_freeze(number) for number in options["freezes"]]
        if not options["freezes"]:
            chosen = list(freezes_in_force(timezone.now()).filter(cluster=None, policy=None))
        for freeze in chosen:
            lift_freeze(freeze=freeze, actor=self.actor)
            freeze.refresh_from_db()
        return chosen

    def _list(self, options: Mapping[str, Any]) -> list[Freeze]:
        rows = Freeze.objects.all() if options["all"] else freezes_in_force(timezone.now())
        return list(rows.select_related("cluster", "policy"))

    def _write(self, freezes: list[Freeze], options: Mapping[str, Any]) -> None:
        documents = [shown_freeze(freeze) for freeze in freezes]
        if options["json"]:
            self.stdout.write(json.dumps(documents, indent=2, ensure_ascii=False))
            return
        for one in documents:
            end = f"lifted {one['lifted_at']}" if one["lifted_at"] else one["ends_at"] or "open end"
            self.stdout.write(
                f"freeze {one['id']} of {one['scope']} by {one['created_by']} "
                f"({end}): {one['reason']}"
            )
        if not documents:
            self.stdout.write(_nothing(options["verb"]))


def _nothing(verb: str) -> str:
    """Why there is nothing to show; `off` without numbers lifts those of everything only."""
    others = freezes_in_force(timezone.now()).order_by("pk").values_list("pk", flat=True)
    if verb == "off" and others:
        numbers = ", ".join(str(pk) for pk in others)
        return f"no freeze of everything is in force; lift others by their number: {numbers}"
    return "no freeze is in force"


def _cluster(name: str) -> Cluster:
    cluster = Cluster.objects.filter(name=name).first()
    if cluster is None:
        raise InvalidInput(f"there is no cluster {name}")
    return cluster


def _end(hours: float | None, now: datetime) -> datetime | None:
    if hours is None:
        return None
    if not 0 < hours <= 24 * 366:
        raise InvalidInput("--hours: more than 0, at most a year")
    return now + timedelta(hours=hours)
