"""What lifecycle listens to: a changed desired config changes the verdict on the last report."""

from collections.abc import Sequence
from typing import Any

from lifecycle.services import follow_desired


def follow(sender: object, *, machine_ids: Sequence[int], **kwargs: Any) -> None:
    """Judge the last reports again: a few bulk updates, no matter how many machines."""
    follow_desired(machine_ids=machine_ids)
