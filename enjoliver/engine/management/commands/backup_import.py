"""`manage.py backup_import FILE [--url URL]`: make the fleet of an export again."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import httpx
from django.core.management.base import BaseCommand, CommandError, CommandParser

from enjoliver.common.errors import EngineError
from enjoliver.engine.playbook import (
    Replayed,
    discover_here,
    replay,
    schedule_here,
    scheduling_paused,
    steps_over_http,
)
from machines.models import Machine


class Command(BaseCommand):
    """Into this engine's own database, or with --url into another engine over HTTP."""

    help = "Replay what GET /backup/export gave into an empty engine."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the export, a JSON list of {route, data}")
        parser.add_argument("--url", default="", help="replay over HTTP into the engine there")
        parser.add_argument("--user", default="admin", help="operator at --url")
        parser.add_argument(
            "--password-file", type=Path, help="the operator's password; else it is asked for"
        )
        parser.add_argument(
            "--merge", action="store_true", help="also into a database that has machines"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            playbook = json.loads(options["file"].read_text())
            done = (
                self._over_http(playbook, options)
                if options["url"]
                else self._here(playbook, options)
            )
        except (OSError, ValueError) as error:
            raise CommandError(f"{options['file']}: {error}") from error
        except EngineError as error:
            raise CommandError(f"{error.value} {error.fields or ''}".strip()) from error
        except httpx.HTTPStatusError as error:
            raise CommandError(f"{error.request.url}: {error.response.text[:500]}") from error
        except httpx.HTTPError as error:
            raise CommandError(f"{options['url']}: {error}") from error
        self.stdout.write(f"{done.discoveries} machines, {done.schedules} with roles")

    def _here(self, playbook: Any, options: dict[str, Any]) -> Replayed:
        if Machine.objects.exists() and not options["merge"]:
            raise CommandError("this engine has machines already; --merge replays all the same")
        with scheduling_paused():
            return replay(playbook, discover=discover_here, schedule=schedule_here)

    def _over_http(self, playbook: Any, options: dict[str, Any]) -> Replayed:
        file = options["password_file"]
        password = file.read_text().strip() if file else getpass.getpass("operator's password: ")
        with httpx.Client(
            base_url=options["url"], auth=(options["user"], password), timeout=30
        ) as client:
            discover, schedule = steps_over_http(client)
            return replay(playbook, discover=discover, schedule=schedule)
