"""What a machine's agent tells of itself, beside its work: which verb, which step, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from simulator.client import Refused, Unreachable
from simulator.machine import Machine, Phase, as_body

VERSION = "simulated"
_WORDS: Mapping[Phase, tuple[str, str]] = {
    Phase.DISCOVERY: ("discover", "reporting"),
    Phase.WAITING: ("install", "waiting"),
    Phase.GATE: ("install", "gate"),
    Phase.INSTALLING: ("install", "installing"),
    Phase.FAILED: ("install", "failed"),
    Phase.INSTALLED: ("install", "rebooting"),
    Phase.STARTING: ("ready", "waiting"),
    Phase.DOWN: ("report", "restarting"),
}
_REPORTING = frozenset({Phase.RUNNING, Phase.OUTDATED, Phase.SLOT})


def word_of(machine: Machine) -> tuple[str, str] | None:
    """Verb and step as the agent would say them; None where no agent runs."""
    if machine.phase in _REPORTING and machine.is_up_to_date is not None:
        return "report", "up to date" if machine.is_up_to_date else "outdated"
    return _WORDS.get(machine.phase)


def tell(machine: Machine) -> None:
    """Send the machine's word when it is another one; its work does not wait for that."""
    word = word_of(machine)
    if word is None or word == machine.word:
        return
    machine.word = word
    if machine.teller is None or machine.teller.done():
        machine.teller = asyncio.create_task(_send_newest(machine))


async def _send_newest(machine: Machine) -> None:
    heard = None
    while machine.word is not None and machine.word != heard:
        word = machine.word
        try:
            await _send(machine, word)
            heard = word
        except (Unreachable, Refused):
            await machine.pause(machine.timing.longest_pause)
            if word_of(machine) is None:  # off, or vanished: it says nothing more
                machine.word = None


async def _send(machine: Machine, word: tuple[str, str]) -> None:
    verb, step = word
    document = {
        "verb": verb,
        "step": step,
        "reason": machine.last_words,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "boot_id": machine.boot_id,
        "version": VERSION,
    }
    await machine.post(
        f"/lifecycle/progress/{machine.who.raw_query}",
        route="/lifecycle/progress/…",
        body=as_body(document),
        expected=(200, 404),
    )
