"""`manage.py cluster show|set`: a cluster's size and placement rules from a shell."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from enjoliver.common.errors import EngineError
from scheduling.models import Cluster
from scheduling.roles import DEFAULT_CLUSTER
from scheduling.services import default_cluster, update_cluster


def _flag(text: str) -> bool:
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError("expected true or false")
    return words[text.lower()]


_RULES: dict[str, Callable[[str], Any]] = {
    "control_plane_size": int,
    "spread": str,
    "spread_level": str,
    "settle_seconds": int,
    "is_scheduling_enabled": _flag,
}


class Command(BaseCommand):
    """What the console's page of a cluster changes, without a console."""

    help = "Show or change a cluster's size and placement rules."

    def add_arguments(self, parser: CommandParser) -> None:
        """The two sub-commands."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        show = verbs.add_parser("show", help="all rules")
        change = verbs.add_parser("set", help="change some; all or nothing")
        change.add_argument("pairs", nargs="+", metavar="RULE=VALUE", help=", ".join(_RULES))
        for verb in (show, change):
            verb.add_argument("--cluster", default=DEFAULT_CLUSTER, metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb; a refusal is a CommandError with the reason."""
        cluster = _find(options["cluster"])
        if options["verb"] == "show":
            for name in _RULES:
                self.stdout.write(f"{name} = {getattr(cluster, name)}")
            return
        actor = f"{getpass.getuser()} (command line)"
        try:
            changed = update_cluster(cluster=cluster, actor=actor, **_rules(options))
        except EngineError as error:
            raise CommandError(error.value) from error
        for name, (before, after) in changed.items():
            self.stdout.write(f"{name}: {before} → {after}")
        if not changed:
            self.stdout.write("nothing to change")


def _rules(options: Mapping[str, Any]) -> dict[str, Any]:
    rules = {}
    for pair in options["pairs"]:
        name, separator, text = pair.partition("=")
        if not separator or name not in _RULES:
            raise CommandError(f"{pair}: expected one of {', '.join(_RULES)}, as RULE=VALUE")
        try:
            rules[name] = _RULES[name](text)
        except ValueError as error:
            raise CommandError(f"{name}: {error}") from error
    return rules


def _find(name: str) -> Cluster:
    if name == DEFAULT_CLUSTER:
        return default_cluster()
    cluster = Cluster.objects.filter(name=name).first()
    if cluster is None:
        raise CommandError(f"there is no cluster {name}")
    return cluster
