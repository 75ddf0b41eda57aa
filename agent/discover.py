"""`discover`: report what the machine is, again and again, until it has a role."""

from __future__ import annotations

from agent.client import Unreachable
from agent.engine import NotNow
from agent.facts.document import NoIdentity, collect, read_identity
from agent.run import Run, waiting_reason

_LONGEST_PAUSE = 300.0
"""Facts are sent again at least so often: a cable, a name or a neighbour may come late."""


def discover(run: Run, *, is_once: bool = False) -> bool:
    """Post the facts until the machine has a role (`is_once`: until they were taken).

    False when the machine has no identity to report; nothing that the agent could do changes that.
    """
    backoff = run.backoff()
    backoff.longest = max(backoff.longest, _LONGEST_PAUSE)
    while True:
        at_least = 0.0
        try:
            roles = _report(run, is_once=is_once)
            if roles is not None:
                run.journal.say("done", f"its roles: {', '.join(roles)}" if roles else "")
                return True
            run.journal.say("reported", "it waits for a role")
        except NoIdentity as error:
            run.journal.say("failed", str(error))
            return False
        except (NotNow, Unreachable) as error:
            reason, at_least = waiting_reason(error)
            run.journal.say("reporting", reason)
        run.clock.pause(backoff.next_pause(at_least))


def _report(run: Run, *, is_once: bool) -> tuple[str, ...] | None:
    """Post the facts once; the roles, or None while there is none."""
    is_new = run.engine.send_facts(collect(run.sources))
    if is_new:
        run.journal.say("reported", "for the first time")
    if is_once:
        return ()
    return run.engine.read_roles(read_identity(run.sources).mac) or None
