"""`manage.py settings_docs`: writes docs/settings.md and .env.example, or checks them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from enjoliver.conf import BASE_DIR, SETTINGS
from enjoliver.engine.settings_docs import env_example, settings_markdown


def generated_files() -> dict[Path, str]:
    """Each generated file with the text that it should have."""
    return {
        BASE_DIR / "docs" / "settings.md": settings_markdown(SETTINGS),
        BASE_DIR / ".env.example": env_example(SETTINGS),
    }


class Command(BaseCommand):
    help = "Write the documents about the engine settings; --check only compares."
    requires_system_checks: list[str] = []  # it reads the settings' definitions only

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="exit 1 when one differs")

    def handle(self, *args: Any, **options: Any) -> None:
        files = generated_files()
        if not options["check"]:
            for path, text in files.items():
                path.write_text(text)
            return
        old = [path for path, text in files.items() if not _is(path, text)]
        for path in old:
            self.stderr.write(f"{path.relative_to(BASE_DIR)} is out of date: run `make generate`.")
        if old:
            sys.exit(1)


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text
