"""`manage.py revision list|show|diff|pending|approve|reject|rollback`."""

from __future__ import annotations

import getpass
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from enjoliver.common.errors import EngineError
from enjoliver.common.words import counted
from machines.lookup import find_named_machine
from matchbox_sync.management.commands.plan import find_change, find_cluster
from matchbox_sync.models import DesiredConfig, PendingChange, Revision
from matchbox_sync.plantext import plan_text
from matchbox_sync.revisiondocs import change_document, machine_documents, revision_document
from matchbox_sync.services import (
    approve_change,
    compare_revisions,
    find_revision,
    reject_change,
    roll_back,
)
from scheduling.roles import DEFAULT_CLUSTER


class Command(BaseCommand):
    """One sub-command a verb; each is one call of a service."""

    help = "Revisions of the configuration: what came when and why, what waits, going back."

    def add_arguments(self, parser: CommandParser) -> None:
        """The verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        add = verbs.add_parser
        listed = add("list", help="the newest revisions")
        listed.add_argument("--limit", type=int, default=20)
        add("show", help="one revision").add_argument("number", type=int)
        diff = add("diff", help="what lies between two revisions")
        diff.add_argument("numbers", type=int, nargs=2, metavar="NUMBER")
        diff.add_argument("--machine", help="for one machine: its MAC, UUID or name")
        add("machines", help="running, desired, newest and previous revision of each machine")
        pending = add("pending", help="changes that wait for a decision, and those decided")
        pending.add_argument("--limit", type=int, default=20)
        for verb, help_ in (
            ("approve", "let a change become the next revision"),
            ("reject", "keep a change out of force"),
        ):
            decide = add(verb, help=help_)
            decide.add_argument("change", type=int, nargs="?", help="the one that waits, without")
            decide.add_argument("--reason", default="")
        back = add("rollback", help="make an earlier revision's content the one in force again")
        back.add_argument("number", type=int)
        back.add_argument("--reason", required=True)
        for each in verbs.choices.values():
            each.add_argument("--cluster", default=DEFAULT_CLUSTER, metavar="NAME")
            each.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb; a refusal is a CommandError with the reason."""
        self.cluster = find_cluster(options["cluster"])
        self.is_json = options["json"]
        try:
            getattr(self, f"_{options['verb']}")(options)
        except EngineError as error:
            raise CommandError(error.value) from error

    def _list(self, options: dict[str, Any]) -> None:
        rows = Revision.objects.filter(cluster=self.cluster).select_related("cluster")
        documents = [revision_document(row) for row in rows[: max(0, options["limit"])]]
        self._answer(documents, *map(_revision_line, documents))

    def _show(self, options: dict[str, Any]) -> None:
        revision = find_revision(self.cluster, options["number"])
        document = revision_document(revision, with_values=True)
        values = document["values"].items()
        lines = [f"  {key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values]
        self._answer(document, _revision_line(document), *lines)

    def _diff(self, options: dict[str, Any]) -> None:
        old, new = (find_revision(self.cluster, number) for number in options["numbers"])
        machine = find_named_machine(options["machine"]) if options["machine"] else None
        ids = [machine.pk] if machine else None
        plan = compare_revisions(old=old, new=new, machine_ids=ids)
        self._answer(plan.to_json(), plan_text(plan))

    def _machines(self, options: dict[str, Any]) -> None:
        rows = DesiredConfig.objects.filter(config__revision__cluster=self.cluster)
        documents = machine_documents(list(rows.order_by("pk").values_list("pk", flat=True)))
        lines = (
            f"{row['fqdn'] or row['mac']}: running {row['running'] or 'unknown'}, "
            f"desired {row['desired']}, newest {row['newest']}, "
            f"previous {row['previous'] or 'none'}"
            for row in documents
        )
        self._answer(documents, *lines)

    def _pending(self, options: dict[str, Any]) -> None:
        rows = PendingChange.objects.filter(cluster=self.cluster).select_related(
            "cluster", "revision"
        )
        documents = [change_document(row) for row in rows[: max(0, options["limit"])]]
        self._answer(documents, *map(_change_line, documents))

    def _approve(self, options: dict[str, Any]) -> None:
        change = find_change(self.cluster, options["change"])
        change = approve_change(change=change, actor=_actor(), reason=options["reason"])
        self._answer(change_document(change), _change_line(change_document(change)))

    def _reject(self, options: dict[str, Any]) -> None:
        change = find_change(self.cluster, options["change"])
        change = reject_change(change=change, actor=_actor(), reason=options["reason"])
        self._answer(change_document(change), _change_line(change_document(change)))

    def _rollback(self, options: dict[str, Any]) -> None:
        made = roll_back(
            cluster=self.cluster,
            revision=find_revision(self.cluster, options["number"]),
            actor=_actor(),
            reason=options["reason"],
        )
        self._answer(revision_document(made), _revision_line(revision_document(made)))

    def _answer(self, document: Any, *lines: str) -> None:
        if self.is_json:
            self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))
        for line in () if self.is_json else lines:
            self.stdout.write(line)


def _actor() -> str:
    return f"{getpass.getuser()} (command line)"


def _revision_line(document: dict[str, Any]) -> str:
    is_done = document["completed_at"] is not None
    machines = counted(document["machines_changed"], "machine") if is_done else "being made"
    reason = f" ({document['reason']})" if document["reason"] else ""
    return (
        f"{document['number']}  {document['created_at']}  {document['author']}{reason}: "
        f"{document['cause']}; {machines}"
    )


def _change_line(document: dict[str, Any]) -> str:
    decided = f", by {document['decided_by']}" if document["decided_by"] else ""
    reason = f": {document['reason']}" if document["reason"] else ""
    return (
        f"{document['id']}  {document['state']}{decided}{reason}  {document['summary']} "
        f"({document['why']})"
    )
