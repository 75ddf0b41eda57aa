"""`manage.py policy apply|list|show|delete`: rolling policies from files."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from enjoliver.common.errors import EngineError, InvalidInput
from enjoliver.common.words import counted
from lifecycle.rolloutdocs import counted_policies, shown_policy
from lifecycle.services import Applied, apply_policy, delete_policy, policy_document
from lifecycle.services.finding import find_policy
from scheduling.valuefiles import format_values, parse_values


class Command(BaseCommand):
    """One sub-command a verb; of a file with a mistake nothing is applied."""

    help = "Policies of rolling updates: how many machines may be away, when, in which order."

    def add_arguments(self, parser: CommandParser) -> None:
        """The four sub-commands."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        apply = verbs.add_parser("apply", help="make policies what a YAML file says")
        apply.add_argument("file", metavar="FILE", help="a policy, or `policies:`; - is stdin")
        apply.add_argument("--dry-run", action="store_true", help="only say what would change")
        verbs.add_parser("list", help="all policies")
        show = verbs.add_parser("show", help="one policy, as `apply` takes it")
        delete = verbs.add_parser("delete", help="remove one policy")
        for verb in (show, delete):
            verb.add_argument("name", metavar="NAME")
        for verb in verbs.choices.values():
            verb.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb; a refusal is a CommandError with every reason."""
        try:
            getattr(self, f"_{options['verb']}")(options)
        except EngineError as error:
            raise CommandError(error.value) from error

    def _apply(self, options: Mapping[str, Any]) -> None:
        documents = read_policies(_read(options["file"]))
        actor = f"{getpass.getuser()} (command line)"
        for document in documents:  # a file with a mistake changes nothing
            apply_policy(document=document, actor=actor, dry_run=True)
        dry_run = options["dry_run"]
        applied = [apply_policy(document=d, actor=actor, dry_run=dry_run) for d in documents]
        if options["json"]:
            self.stdout.write(json.dumps([_applied(one) for one in applied], indent=2))
            return
        for one in applied:
            self._tell(one)

    def _tell(self, applied: Applied) -> None:
        name = applied.policy.name
        if applied.is_new:
            self.stdout.write(f"{name}: new")
        elif not applied.changed:
            self.stdout.write(f"{name}: nothing to change")
        else:
            for field, (before, after) in applied.changed.items():
                self.stdout.write(f"{name}: {field}: {json.dumps(before)} → {json.dumps(after)}")
        for sentence in applied.advice:
            self.stdout.write(f"{name}: {sentence}")

    def _list(self, options: Mapping[str, Any]) -> None:
        documents = [shown_policy(policy) for policy in counted_policies()]
        if options["json"]:
            self.stdout.write(json.dumps(documents, indent=2))
            return
        for one in documents:
            state = "" if one["is_enabled"] else ", disabled"
            machines = counted(one["machines"], "machine")
            self.stdout.write(
                f"{one['name']}: {machines} of cluster {one['cluster']}, "
                f"{one['strategy']}, at most {one['max_unavailable']} at once{state}"
            )

    def _show(self, options: Mapping[str, Any]) -> None:
        document = policy_document(find_policy(options["name"]))
        text = json.dumps(document, indent=2) if options["json"] else format_values(document)
        self.stdout.write(text.rstrip())

    def _delete(self, options: Mapping[str, Any]) -> None:
        policy = find_policy(options["name"])
        delete_policy(policy=policy, actor=f"{getpass.getuser()} (command line)")
        answer = json.dumps({"deleted": options["name"]})
        self.stdout.write(answer if options["json"] else f"{options['name']} is deleted")


def read_policies(text: str) -> list[dict[str, Any]]:
    """The policies in a YAML text: one, or several below `policies`. Raises InvalidInput."""
    document = parse_values(text)
    found = document.get("policies", [document])
    if "policies" in document and len(document) > 1:
        raise InvalidInput("beside `policies` nothing else is expected", kind="invalid_policy")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InvalidInput("policies: a list of policies is expected", kind="invalid_policy")
    return found


def _applied(applied: Applied) -> dict[str, Any]:
    return {
        "name": applied.policy.name,
        "is_new": applied.is_new,
        "changed": {
            field: {"before": before, "after": after}
            for field, (before, after) in applied.changed.items()
        },
        "advice": applied.advice,
    }


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise CommandError(f"{name}: {error}") from error
