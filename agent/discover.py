"""`discover`: report what the machine is, again and again, until it has a role."""

from __future__ import annotations

from agent.client import Unreachable
from agent.engine import NotNow
from agent.facts import lldp
from agent.facts.document import NoIdentity, collect, read_identity
from agent.run import Run, waiting_reason

_LONGEST_PAUSE = 300.0
"""Facts are sent again at least so often: a cable, a name or a neighbour may come late."""


def discover(run: Run, *, is_once: bool = False) -> bool:
    """Post the facts until the machine has a role (`is_once`: until they were taken).

    Where lldpd runs, also until it has heard a neighbour, for a while: with a role nothing would
    tell the engine later, and an installed machine that comes back would lose its place in a rack.
    False when the machine has no identity to report; nothing that the agent could do changes that.
    """
    backoff = run.backoff()
    backoff.longest = max(backoff.longest, _LONGEST_PAUSE)
    lldp_until = run.clock.monotonic() + run.config.lldp_seconds
    while True:
        at_least = 0.0
        try:
            roles, has_neighbours = _report(run, is_once=is_once)
            is_heard = has_neighbours or is_once or run.clock.monotonic() > lldp_until
            if roles is not None and (is_heard or not lldp.is_spoken(run.sources)):
                run.journal.say("done", f"its roles: {', '.join(roles)}" if roles else "")
                return True
            waits_for = "a role" if roles is None else "a neighbour's LLDP"
            run.journal.say("reported", f"it waits for {waits_for}")
        except NoIdentity as error:
            run.journal.say("failed", str(error))
            return False
        except (NotNow, Unreachable) as error:
            reason, at_least = waiting_reason(error)
            run.journal.say("reporting", reason)
        except OSError as error:  # a device that went away while it was looked at
            run.journal.say("reporting", f"its facts cannot be read ({error})")
        run.clock.pause(backoff.next_pause(at_least))


def _report(run: Run, *, is_once: bool) -> tuple[tuple[str, ...] | None, bool]:
    """Post the facts once: the roles (None: none yet), and whether they name a neighbour."""
    facts = collect(run.sources)
    has_neighbours = bool(facts["lldp"]["is_file"])
    is_new = run.engine.send_facts(facts)
    if is_new:
        run.journal.say("reported", "for the first time")
    if is_once:
        return (), has_neighbours
    return run.engine.read_roles(read_identity(run.sources).mac) or None, has_neighbours
