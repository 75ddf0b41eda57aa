"""`manage.py plan`: what a change would do to which machines, before anything moves."""

from __future__ import annotations

import json
import sys
from argparse import BooleanOptionalAction
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from enjoliver.common.errors import EngineError
from matchbox_sync.advice import advise, advised
from matchbox_sync.models import ChangeState, PendingChange
from matchbox_sync.planned import Plan
from matchbox_sync.plantext import plan_text
from matchbox_sync.services import find_revision, plan_change, plan_pending, plan_revision
from scheduling.models import Cluster
from scheduling.roles import DEFAULT_CLUSTER
from scheduling.valuefiles import parse_values
from scheduling.values import find_value
from scheduling.valuetypes import read_text


class Command(BaseCommand):
    """Renders what would change in a private matchbox; publishes and writes nothing."""

    help = (
        "Show what a change would do to which machines. Without options: what the templates and "
        "values that are there now would do."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """What is planned, and how it is shown."""
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--revision", type=int, metavar="N", help="a revision: what it moves")
        what.add_argument(
            "--pending",
            nargs="?",
            type=int,
            const=0,
            metavar="ID",
            help="a change that waits for approval (the one that waits, without ID)",
        )
        parser.add_argument("--values", metavar="FILE", help="a YAML mapping; - is standard input")
        parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", dest="pairs")
        parser.add_argument("--replace", action="store_true", help="other values: their defaults")
        parser.add_argument("--templates", metavar="DIR", help="instead of ENJOLIVER_TEMPLATES")
        parser.add_argument("--cluster", default=DEFAULT_CLUSTER, metavar="NAME")
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--diff", action=BooleanOptionalAction, default=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Make one plan; exit code 1 when something of it cannot be made."""
        try:
            plan = self._plan(options)
        except EngineError as error:
            raise CommandError(error.value) from error
        self.stderr.write("\r", ending="")
        if options["json"]:
            document = advised(plan.to_json())
            self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))
        else:
            advice = advise([m.id for m in plan.machines if m.is_document_changed])
            self.stdout.write(plan_text(plan, with_diffs=options["diff"], advice=advice))
        if not plan.is_good:
            raise CommandError("some configs cannot be made, see above")

    def _plan(self, options: dict[str, Any]) -> Plan:
        cluster = find_cluster(options["cluster"])
        if options["revision"] is not None:
            revision = find_revision(cluster, options["revision"])
            return plan_revision(cluster=cluster, revision=revision, progress=self._progress)
        if options["pending"] is not None:
            change = find_change(cluster, options["pending"])
            return plan_pending(change=change, progress=self._progress)
        return plan_change(
            cluster=cluster,
            changes=_read_changes(options),
            replace=options["replace"],
            templates=options["templates"],
            progress=self._progress,
        )

    def _progress(self, done: int, total: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\r{done} of {total} machines", ending="")


def find_cluster(name: str) -> Cluster:
    """The cluster with this name; raises CommandError."""
    cluster = Cluster.objects.filter(name=name).first()
    if cluster is None:
        raise CommandError(f"there is no cluster {name}")
    return cluster


def find_change(cluster: Cluster, number: int | None) -> PendingChange:
    """The pending change with this id; without one, the one that waits; raises CommandError."""
    rows = PendingChange.objects.filter(cluster=cluster)
    if number:
        change = rows.filter(pk=number).first()
    else:
        change = rows.filter(closed_at__isnull=True, state=ChangeState.WAITING).first()
    if change is None:
        raise CommandError(f"there is no change {number}" if number else "no change waits")
    return change


def _read_changes(options: dict[str, Any]) -> dict[str, object]:
    changes: dict[str, object] = {}
    if options["values"]:
        changes |= parse_values(_read(options["values"]))
    texts: dict[str, list[str]] = {}
    for pair in options["pairs"]:
        key, separator, text = pair.partition("=")
        if not separator:
            raise CommandError(f"{pair}: expected KEY=VALUE")
        texts.setdefault(key.strip(), []).append(text)
    return changes | {key: read_text(find_value(key).type, given) for key, given in texts.items()}


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise CommandError(f"{name}: {error}") from error
