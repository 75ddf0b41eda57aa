"""What the sync listens to: a changed intent asks for a sync soon."""

from typing import Any

from enjoliver.common.hints import hint
from matchbox_sync.tasks import run_sync


def sync_soon(sender: object, **kwargs: Any) -> None:
    """Enqueue a sync; beat runs one anyway."""
    hint(run_sync)
