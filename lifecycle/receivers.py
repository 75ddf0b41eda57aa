"""What lifecycle listens to: changed desired configs, completed revisions."""

from collections.abc import Sequence
from typing import Any

from enjoliver.common.hints import hint
from lifecycle.services import follow_desired
from lifecycle.tasks import advance_rollouts


def follow(sender: object, *, machine_ids: Sequence[int], **kwargs: Any) -> None:
    """Judge the last reports again: a few bulk updates, no matter how many machines."""
    follow_desired(machine_ids=machine_ids)


def roll_soon(sender: object, **kwargs: Any) -> None:
    """Ask for a step of the rollouts; beat takes one anyway."""
    hint(advance_rollouts)
