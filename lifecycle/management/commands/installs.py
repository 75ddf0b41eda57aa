"""`manage.py installs queue|limits|limit`: who installs, who waits, how many at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from lifecycle.machinedocs import limits_document, queue_document
from lifecycle.models import LimitScope
from lifecycle.services import remove_limit, set_limit
from lifecycle.shell import VerbCommand, actor


class Command(VerbCommand):
    """The install gate, without a console."""

    help = "Show the install queue; show or change how many machines may install at once."

    def add_arguments(self, parser: CommandParser) -> None:
        """The three verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        queue = verbs.add_parser("queue", help="who installs and who waits, the next one first")
        limits = verbs.add_parser("limits", help="all limits")
        limit = verbs.add_parser("limit", help="set one")
        limit.add_argument("scope", choices=LimitScope.values)
        limit.add_argument("concurrency", help="a number, or `none` to take the limit away")
        limit.add_argument("--name", default="", help="site, rack or server; default: each one")
        for verb in (queue, limits, limit):
            verb.add_argument("--json", action="store_true", help="as JSON")

    def _queue(self, options: Mapping[str, Any]) -> Any:
        return queue_document()

    def _limits(self, options: Mapping[str, Any]) -> Any:
        return limits_document()

    def _limit(self, options: Mapping[str, Any]) -> Any:
        scope, name, text = options["scope"], options["name"], options["concurrency"]
        if text == "none":
            remove_limit(scope=scope, name=name, actor=actor())
        else:
            number = int(text) if text.isascii() and text.isdecimal() else -1
            set_limit(scope=scope, name=name, concurrency=number, actor=actor())
        return limits_document()

    def describe(self, document: Any, options: Mapping[str, Any]) -> list[str]:
        """A line for each machine or limit."""
        if options["verb"] == "queue":
            lines = [f"installing: {_line(one)}" for one in document["installing"]]
            lines += [
                f"{place}. {_line(one)}" for place, one in enumerate(document["waiting"], start=1)
            ]
            return lines or ["nobody installs, nobody waits"]
        lines = [f"each site without a limit of its own: {document['site_default']}"]
        return lines + [
            f"{one['scope']} {one['name'] or '(each)'}: {one['concurrency']}"
            for one in document["items"]
        ]


def _line(one: Mapping[str, Any]) -> str:
    server = f" from {one['asset_server']}" if one["asset_server"] else ""
    place = one["rack"] or one["site"] or "unknown place"
    return f"{one['mac']} in {place}{server} since {one['since']}"
