"""What people see of a run: a live table on a terminal, plain lines elsewhere, a summary."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from simulator.machine import Phase
from simulator.result import Result

_LAST_LINES = 14
_FEW_MACHINES = 30
_REDRAW_SECONDS = 0.5
_PLAIN_COUNTS_SECONDS = 10.0
_SHOWN_FAILURES = 20
_PLAIN_WIDTH = 160

Counts = Callable[[], dict[Phase, int]]


class Display:
    """Takes one sentence at a time; `title` heads the live table."""

    def __init__(self, console: Console, *, machines: int, title: str) -> None:
        self._console = console
        if not console.is_terminal:
            console.width = _PLAIN_WIDTH  # nobody wraps lines there
        self._title = title
        self._has_every_line = machines <= _FEW_MACHINES
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._started = time.monotonic()
        self._live: Live | None = None
        self._counts: Counts = dict

    def machine_says(self, name: str, words: str) -> None:
        """A sentence about one machine; large fleets show them on a terminal only."""
        if self._has_every_line or self._live:
            self.tell(f"{name} {words}")

    def tell(self, words: str) -> None:
        """A sentence of its time; on a terminal, with many machines, it scrolls away."""
        line = f"{time.monotonic() - self._started:6.1f}s  {words}"
        if self._live and not self._has_every_line:
            self._lines.append(line)  # of many machines only the last lines can be read
        else:
            self._print(line)

    def note(self, words: str) -> None:
        """A sentence that stays, without its time."""
        self._print(words)

    def headline(self, words: str) -> None:
        """A sentence that stays on the screen: a new part of the story."""
        self._print(f"\n{words}", style="bold")

    def _print(self, line: str, style: str = "") -> None:
        self._console.print(Text(line, style=style), soft_wrap=True)

    @asynccontextmanager
    async def watching(self, counts: Counts) -> AsyncIterator[None]:
        """Keep the numbers on the screen for the time of the block."""
        self._counts = counts
        redraw = self._redraw if self._console.is_terminal else self._print_counts
        task = asyncio.create_task(redraw())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _redraw(self) -> None:
        with Live(console=self._console, auto_refresh=False, transient=True) as self._live:
            try:
                while True:
                    self._live.update(self._picture(), refresh=True)
                    await asyncio.sleep(_REDRAW_SECONDS)
            finally:
                self._live.update(Text(""), refresh=True)
                self._live = None

    def _picture(self) -> RenderableType:
        table = Table("phase", "machines", title=self._title, title_justify="left")
        for phase, count in _in_order(self._counts()):
            table.add_row(phase.value, str(count))
        return Group(table, *(Text(line, overflow="ellipsis") for line in self._lines))

    async def _print_counts(self) -> None:
        last = ""
        while True:
            await asyncio.sleep(_PLAIN_COUNTS_SECONDS)
            now = ", ".join(f"{count} {phase}" for phase, count in _in_order(self._counts()))
            if now != last:
                self.tell(f"[{now}]")
            last = now

    def summary(self, result: Result) -> None:
        """The end of a run: what it cost, what is missing, what broke."""
        self._console.print(_routes_table(result))
        phases = ", ".join(f"{count} {phase}" for phase, count in result.phases.items())
        self._print(f"{result.machines} machines after {result.seconds:.1f} s: {phases}")
        if result.missing_assets:
            self._print(f"{result.missing_assets} boot files were not there (the demo has none)")
        if result.turns_taken:
            self._print(
                f"{result.turns_taken} updates, at most {result.most_down_at_once} down at once"
            )
        self._failures("not at its end", (f"{e.name} {e.lacks}" for e in result.unfinished))
        self._failures("broken rule", result.violations)
        is_good = result.is_good
        words = "All as expected." if is_good else "NOT as expected."
        self._print(words, style="bold green" if is_good else "bold red")

    def _failures(self, heading: str, lines: Iterable[str]) -> None:
        for at, line in enumerate(lines):
            if at == _SHOWN_FAILURES:
                self._print("… and more", style="red")
                return
            self._print(f"{heading}: {line}", style="red")


def _in_order(counts: dict[Phase, int]) -> list[tuple[Phase, int]]:
    """Phases in the order of a machine's life, those with machines only."""
    return [(phase, counts[phase]) for phase in Phase if counts.get(phase)]


def _routes_table(result: Result) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("request", no_wrap=True)
    for name in ("count", "p50 ms", "p99 ms", "max ms", "received", "statuses", "lost"):
        table.add_column(name, justify="right")
    for name, cost in result.routes.items():
        statuses = " ".join(f"{status}:{count}" for status, count in cost["statuses"].items())
        lost = " ".join(f"{reason}:{count}" for reason, count in cost["lost"].items())
        numbers = (cost["requests"], cost["p50_ms"], cost["p99_ms"], cost["max_ms"])
        received = f"{cost['bytes_received'] / 1000:.0f} kB"
        table.add_row(name, *(str(number) for number in numbers), received, statuses, lost)
    return table
