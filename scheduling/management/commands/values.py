"""`manage.py values show|set|apply|docs`: the cluster's values from a shell or from Git."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from enjoliver.common.errors import EngineError
from scheduling.models import Cluster
from scheduling.roles import DEFAULT_CLUSTER
from scheduling.services import default_cluster, preview_values, set_values
from scheduling.valuedocs import render_docs
from scheduling.valuefiles import parse_values
from scheduling.values import cluster_values, find_value
from scheduling.valuetypes import read_text

DOCS = settings.BASE_DIR / "docs" / "cluster-values.md"


class Command(BaseCommand):
    """One sub-command a verb; nothing is changed when anything is refused."""

    help = "Show or change the values that the machines of a cluster are configured with."

    def add_arguments(self, parser: CommandParser) -> None:
        """The four sub-commands."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        show = verbs.add_parser("show", help="all values, and which of them were set")
        show.add_argument("--json", action="store_true", help="as JSON, which `apply` takes too")
        change = verbs.add_parser("set", help="change single values")
        change.add_argument("pairs", nargs="+", metavar="KEY=VALUE")
        apply = verbs.add_parser("apply", help="change what a YAML file says")
        apply.add_argument("file", metavar="FILE", help="a YAML mapping; - is standard input")
        apply.add_argument("--replace", action="store_true", help="other keys get their defaults")
        docs = verbs.add_parser("docs", help="print docs/cluster-values.md")
        docs.add_argument("--write", action="store_true", help="write the file")
        for verb in (change, apply):
            verb.add_argument("--dry-run", action="store_true", help="only say what would change")
        for verb in (show, change, apply):
            verb.add_argument("--cluster", default=DEFAULT_CLUSTER, metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb; a refusal is a CommandError with the reason."""
        try:
            getattr(self, f"_{options['verb']}")(options)
        except EngineError as error:
            raise CommandError(error.value) from error

    def _show(self, options: Mapping[str, Any]) -> None:
        cluster = _find_cluster(options["cluster"])
        values = cluster_values(cluster)
        if options["json"]:
            self.stdout.write(json.dumps(values, indent=2, ensure_ascii=False))
            return
        for name, value in values.items():
            source = "set" if name in cluster.values else "default"
            self.stdout.write(f"{name} = {json.dumps(value, ensure_ascii=False)}  ({source})")

    def _set(self, options: Mapping[str, Any]) -> None:
        texts: dict[str, list[str]] = {}
        for pair in options["pairs"]:
            key, separator, text = pair.partition("=")
            if not separator:
                raise CommandError(f"{pair}: expected KEY=VALUE")
            texts.setdefault(key.strip(), []).append(text)
        changes = {key: read_text(find_value(key).type, given) for key, given in texts.items()}
        self._change(options, changes, replace=False)

    def _apply(self, options: Mapping[str, Any]) -> None:
        self._change(options, parse_values(_read(options["file"])), replace=options["replace"])

    def _docs(self, options: Mapping[str, Any]) -> None:
        if options["write"]:
            DOCS.write_text(render_docs(), encoding="utf-8")
        else:
            self.stdout.write(render_docs(), ending="")

    def _change(
        self, options: Mapping[str, Any], changes: Mapping[str, object], *, replace: bool
    ) -> None:
        cluster = _find_cluster(options["cluster"])
        if options["dry_run"]:
            changed = preview_values(cluster=cluster, changes=changes, replace=replace)
        else:
            actor = f"{getpass.getuser()} (command line)"
            changed = set_values(cluster=cluster, changes=changes, actor=actor, replace=replace)
        for key, (before, after) in changed.items():
            self.stdout.write(f"{key}: {json.dumps(before)} → {json.dumps(after)}")
        if not changed:
            self.stdout.write("nothing to change")


def _find_cluster(name: str) -> Cluster:
    if name == DEFAULT_CLUSTER:
        return default_cluster()
    cluster = Cluster.objects.filter(name=name).first()
    if cluster is None:
        raise CommandError(f"there is no cluster {name}")
    return cluster


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise CommandError(f"{name}: {error}") from error
