"""When the machine is ready: pluggable checks, each a function that says what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.commands import run as run_command
from agent.hooks import HookFailed, run_hooks
from agent.run import Run

Check = Callable[[Run], str]
"""Takes a run; says why the machine is not ready, or ""."""
_SECONDS = 20
_OWN_UNIT = "enjoliver-ready.service"


def judge_system(state: str, jobs: str, failed: str) -> str:
    """What `systemctl is-system-running`, `list-jobs` and `list-units --failed` say. Pure.

    While `ready` itself runs the system counts as starting, so only other running jobs count.
    """
    state = state.strip()
    if state == "running":
        return ""
    if state == "degraded":
        names = [line.split()[0] for line in failed.splitlines() if line.split()]
        return f"units failed: {', '.join(names[:5])}"
    if state in ("starting", "initializing"):
        columns = [line.split() for line in jobs.splitlines()]
        busy = [row[1] for row in columns if row[-1:] == ["running"] and row[1] != _OWN_UNIT]
        return f"still starting: {', '.join(busy[:5])}" if busy else ""
    return f"the system is {state or 'of unknown state'}"


def system_is_running(run: Run) -> str:
    """systemd has started everything, and nothing failed."""
    if run.config.text("AGENT_CHECK_SYSTEM", "yes") == "no":
        return ""
    state = run_command(["systemctl", "is-system-running"], seconds=_SECONDS).output
    jobs = run_command(["systemctl", "list-jobs", "--no-legend", "--plain"], seconds=_SECONDS)
    failed = run_command(
        ["systemctl", "list-units", "--failed", "--no-legend", "--plain"], seconds=_SECONDS
    )
    return judge_system(state, jobs.output, failed.output)


def hooks_say_so(run: Run) -> str:
    """The site's checks in `ready.d`."""
    config = run.config
    try:
        run_hooks(config.hooks_dir / "ready.d", seconds=config.hook_seconds, environment={})
    except HookFailed as error:
        return str(error)
    return ""


CHECKS: tuple[Check, ...] = (system_is_running, hooks_say_so)


def not_ready(run: Run, checks: Sequence[Check] = CHECKS) -> str:
    """The first reason why the machine is not ready; "" when it is."""
    return next((why for check in checks if (why := check(run))), "")
