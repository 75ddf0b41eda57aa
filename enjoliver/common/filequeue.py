"""Celery's queue over the file system, with messages that appear whole or not at all.

Kombu's own transport writes a message into the file that readers look for: a reader in between
finds it empty, and the worker ends with a JSON error (every few minutes under load, kombu 5.7).
"""

from __future__ import annotations

import logging
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps

logger = logging.getLogger(__name__)


class Channel(filesystem.Channel):
    """Kombu's channel, but for how a message is written, and what a broken one does."""

    def _put(  # type: ignore[override] # its two parents disagree on the second name
        self, queue: str, payload: dict[str, Any], **kwargs: Any
    ) -> None:
        """Write `payload` under a name that no reader looks for, then give it its own."""
        name = f"{time.time_ns():020}_{uuid.uuid4()}.{queue}.msg"
        draft = Path(self.data_folder_out, f"{name}.draft")
        try:
            draft.write_text(dumps(payload))
            draft.rename(draft.with_suffix(""))
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise ChannelError(f"cannot add a message to {self.data_folder_out}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        """The next message; a broken one (a power cut) is dropped with a line of the log."""
        try:
            return super()._get(queue)
        except ValueError as error:
            logger.warning("a broken message of the queue %s is dropped: %s", queue, error)
            raise Empty from None


class Transport(filesystem.Transport):
    """Kombu's transport with our channel."""

    Channel = Channel
