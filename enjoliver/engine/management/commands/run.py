"""`manage.py run`: the whole engine in the foreground."""

from __future__ import annotations

import sys
import time
from typing import Any

from django.core.management.base import BaseCommand

from enjoliver.engine.processes import (
    CannotStart,
    Engine,
    start_engine,
    stop_signals_interrupt,
)

_PATIENCE_SECONDS = 60


class Command(BaseCommand):
    help = "Start the engine (web server, worker, matchbox) and keep it running until Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            ended_well = self._run()
        except CannotStart as error:
            for problem in error.problems:
                self.stderr.write(problem)
            sys.exit(1)
        self._say("Stopped; the state stays for the next start.")
        if not ended_well:
            sys.exit(1)

    def _run(self) -> bool:
        try:
            with stop_signals_interrupt(), start_engine(say=self._say) as engine:
                self._introduce(engine)
                self._announce_when_ready(engine)
                engine.wait()
            return engine.ended_well()
        except KeyboardInterrupt:
            return True

    def _introduce(self, engine: Engine) -> None:
        config = engine.config
        self._say(f"Engine:   {engine.url} (console: {engine.url}/ui)")
        if config.matchbox_bind:
            self._say(f"matchbox: http://{config.matchbox_bind}")
        kept = engine.operator.password_file
        where = f"password in {kept}" if kept else "password as you set it"
        self._say(f"Operator: {engine.operator.name}, {where}")
        self._say(f"State:    {config.state_dir} (logs in {config.logs_dir})")

    def _announce_when_ready(self, engine: Engine) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while engine.wait(0.5) is None:
            if engine.answers("/healthz"):
                self._say("Ready. Ctrl-C stops everything.")
                return
            if time.monotonic() > deadline:
                self._say(f"Not healthy yet: {engine.url}/healthz says what is missing.")
                return

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()
