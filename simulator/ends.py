"""Where each machine should be at the end of a run, also when something was made to go wrong."""

from __future__ import annotations

from simulator.faults import Fault
from simulator.machine import INSTALLED_PHASES, Machine, Phase
from simulator.scenario import Until

_ENOUGH_POLLS = 3
_SILENT_FAULTS = (Fault.SILENT, Fault.SILENT_INSTALL, Fault.SILENT_UPDATE)


def missing(machine: Machine, until: Until) -> str:
    """What this machine lacks to its expected end, in words; "" when it is there."""
    if machine.phase is Phase.SILENT and any(map(machine.has, _SILENT_FAULTS)):
        return ""
    if machine.has(Fault.SILENT_INSTALL):
        return "should have vanished in its install"
    if machine.has(Fault.DUPLICATE_UUID) and not machine.roles:
        is_known_to_wait = machine.phase is Phase.WAITING and machine.polls >= _ENOUGH_POLLS
        return "" if is_known_to_wait else "should wait for a role because its UUID is not its own"
    if machine.phase not in INSTALLED_PHASES:
        return f"is not installed: {machine.phase}, {machine.last_words}"
    if until is Until.INSTALLED:
        return ""
    return _missing_up_to_date(machine)


def _missing_up_to_date(machine: Machine) -> str:
    if machine.has(Fault.SILENT):
        return "should have vanished after its first report"
    if machine.has(Fault.LIES):
        is_caught = machine.is_up_to_date is False and machine.reports >= _ENOUGH_POLLS - 1
        return "" if is_caught else "lies and was not found to be outdated"
    if machine.phase is Phase.RUNNING and machine.is_up_to_date:
        return ""
    return f"is not up to date: {machine.phase}, {machine.last_words}"
