"""`manage.py placement show|what-if|rules|set`: where roles are, and what they ask for."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from enjoliver.common.errors import EngineError
from enjoliver.common.words import counted
from scheduling.models import Cluster
from scheduling.overview import Overview, read_loss, read_overview
from scheduling.placementdocs import loss_document, overview_document, rules_document
from scheduling.roles import DEFAULT_CLUSTER, RuleRole
from scheduling.services import default_cluster, read_requirements, set_requirements

_UNITS = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def read_size(text: str) -> int:
    """Bytes out of `100GiB`, `512 MiB` or a plain number; raises ValueError."""
    number = text.strip().lower()
    for unit, factor in _UNITS.items():
        if number.endswith(unit):
            return round(float(number.removesuffix(unit)) * factor)
    return int(number)


def read_labels(text: str) -> dict[str, str]:
    """Labels out of `disk=ssd,pool=web`; empty for none. Raises ValueError."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if any(not separator for _, separator, _ in pairs):
        raise ValueError("expected NAME=VALUE, separated by commas")
    return {name.strip(): value.strip() for name, _, value in pairs}


_RULES: dict[str, Callable[[str], Any]] = {
    "selector": read_labels,
    "min_disk_bytes": read_size,
    "min_memory_bytes": read_size,
    "min_cpu_count": int,
    "count": lambda text: int(text) if text else None,
    "spares": int,
}


class Command(BaseCommand):
    """What the console shows and changes of placement, without a console."""

    help = "Show where the roles of a cluster are; show or change what they ask of machines."

    def add_arguments(self, parser: CommandParser) -> None:
        """The four sub-commands."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        show = verbs.add_parser("show", help="control plane, its spread, spares, who waits")
        what_if = verbs.add_parser("what-if", help="what the failure of a domain takes away")
        what_if.add_argument("domain", help="site:dc1/rack:7, or its last part: rack:7")
        rules = verbs.add_parser("rules", help="what each role asks of a machine")
        change = verbs.add_parser("set", help="change that; all or nothing")
        change.add_argument("role", choices=RuleRole.values)
        change.add_argument(
            "pairs",
            nargs="+",
            metavar="RULE=VALUE",
            help=f"{', '.join(_RULES)}; sizes as 100GiB, selector as NAME=VALUE,…",
        )
        for verb in (show, what_if, rules, change):
            verb.add_argument("--cluster", default=DEFAULT_CLUSTER, metavar="NAME")
            verb.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb; a refusal is a CommandError with the reason."""
        cluster = _find(options["cluster"])
        try:
            getattr(self, f"_{options['verb'].replace('-', '_')}")(cluster, options)
        except EngineError as error:
            raise CommandError(error.value) from error

    def _show(self, cluster: Cluster, options: Mapping[str, Any]) -> None:
        overview = read_overview(cluster)
        if options["json"]:
            self._json(overview_document(overview))
        else:
            self.stdout.write("\n".join(_describe(overview)))

    def _what_if(self, cluster: Cluster, options: Mapping[str, Any]) -> None:
        loss = read_loss(cluster, options["domain"])
        if options["json"]:
            self._json(loss_document(loss))
            return
        verdict = "survives" if loss.quorum_survives else "is LOST"
        self.stdout.write(
            f"{loss.domain} fails: {counted(len(loss.members_lost), 'member')} of the control "
            f"plane, {counted(loss.nodes_lost, 'node')} and "
            f"{counted(loss.spares_lost, 'spare')} are gone.\n"
            f"{counted(loss.members_left, 'member is', 'members are')} left, {loss.quorum} needed: "
            f"the quorum {verdict}. "
            f"{counted(loss.nodes_left, 'node is', 'nodes are')} left."
        )

    def _rules(self, cluster: Cluster, options: Mapping[str, Any]) -> None:
        rules = rules_document(read_requirements(cluster))
        if options["json"]:
            self._json(rules)
            return
        for role, wanted in rules.items():
            text = ", ".join(f"{name} = {json.dumps(value)}" for name, value in wanted.items())
            self.stdout.write(f"{role}: {text}")

    def _set(self, cluster: Cluster, options: Mapping[str, Any]) -> None:
        actor = f"{getpass.getuser()} (command line)"
        changed = set_requirements(
            cluster=cluster, role=options["role"], actor=actor, **_changes(options["pairs"])
        )
        if options["json"]:
            self._json({name: {"before": a, "after": b} for name, (a, b) in changed.items()})
            return
        for name, (before, after) in changed.items():
            self.stdout.write(f"{name}: {json.dumps(before)} → {json.dumps(after)}")
        if not changed:
            self.stdout.write("nothing to change")

    def _json(self, document: object) -> None:
        self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))


def _describe(overview: Overview) -> list[str]:
    level = overview.cluster.spread_level
    lines = [f"spread of the control plane by {level}: {overview.score} of 100"]
    for one in overview.members:
        place = one.place.domain(level) or "unknown place"
        lines.append(f"  {one.mac} {one.name} in {place}".replace("  in", " in"))
    for spread in overview.spread:
        survives = "survives" if spread.quorum_survives else "does not survive"
        lines.append(
            f"  {spread.level}: {spread.score} of 100; the quorum {survives} the loss of any one"
        )
    lines.append(f"spares of the control plane: {len(overview.spares)} kept free")
    lines.append(f"nodes: {overview.node_count}")
    lines += [f"  {count} in {name or 'no known place'}" for name, count in _items(overview)]
    lines += [f"waiting: {count} ({code})" for code, count in overview.waiting.items()]
    return lines


def _items(overview: Overview) -> list[tuple[str, int]]:
    return list(overview.nodes_by_domain.items())[:50]


def _changes(pairs: list[str]) -> dict[str, Any]:
    changes = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or name not in _RULES:
            raise CommandError(f"{pair}: expected one of {', '.join(_RULES)}, as RULE=VALUE")
        try:
            changes[name] = _RULES[name](text)
        except ValueError as error:
            raise CommandError(f"{name}: {error}") from error
    return changes


def _find(name: str) -> Cluster:
    if name == DEFAULT_CLUSTER:
        return default_cluster()
    cluster = Cluster.objects.filter(name=name).first()
    if cluster is None:
        raise CommandError(f"there is no cluster {name}")
    return cluster
