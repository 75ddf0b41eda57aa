"""What scheduling listens to: changed facts contradict pins or make a machine eligible."""

from __future__ import annotations

from typing import Any

from enjoliver.common.hints import hint
from scheduling.services import follow_facts
from scheduling.tasks import run_scheduler


def follow(sender: object, *, machine_id: int, **kwargs: Any) -> None:
    """Compare the machine with its pins; without a role, ask for a pass of the scheduler soon."""
    if not follow_facts(machine_id=machine_id):
        hint(run_scheduler)
