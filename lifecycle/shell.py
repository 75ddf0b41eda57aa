"""What lifecycle's commands share: who acts, refusals as errors, answers as text or JSON."""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from enjoliver.common.errors import EngineError


def actor() -> str:
    """Who is kept as the author of what a command changes."""
    return f"{getpass.getuser()} (command line)"


def moment(text: str) -> datetime:
    """A time out of `2026-05-01T08:00Z` (no zone: UTC), or out of `90m`, `2h`, `3d` from now."""
    units = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
    number, unit = text[:-1], text[-1:]
    if unit in units and number.isdecimal() and len(number) < 6:
        return timezone.now() + int(number) * units[unit]
    try:
        parsed = parse_datetime(text)
    except ValueError:
        parsed = None
    if parsed is None:
        raise argparse.ArgumentTypeError("expected 2026-05-01T08:00Z, 90m, 2h or 3d")
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


class VerbCommand(BaseCommand):
    """A command with verbs: `_<verb>(options)` returns a document, `describe` makes it text."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb; a refusal is a CommandError with the reason."""
        try:
            document = getattr(self, f"_{options['verb'].replace('-', '_')}")(options)
        except EngineError as error:
            raise CommandError(error.value) from error
        if options["json"]:
            self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))
        else:
            self.stdout.write("\n".join(self.describe(document, options)))

    def describe(self, document: Any, options: Mapping[str, Any]) -> list[str]:
        """Lines for people."""
        raise NotImplementedError
