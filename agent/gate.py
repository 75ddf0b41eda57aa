"""Keeping the install gate: an install that takes long says that it goes on, from a thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from agent.client import Unreachable
from agent.engine import Grant, NotNow
from agent.run import Run
from agent.waits import jittered

logger = logging.getLogger("enjoliver-agent")
UNTOLD_SECONDS = 900.0
"""The silence that is taken for allowed when the engine does not tell it."""
_SHARE = 3


@contextmanager
def kept_grant(run: Run, query: str, grant: Grant) -> Iterator[None]:
    """For the time of the block the engine hears thrice within the silence that it allows.

    Without an attempt's id nothing is said: it would be a new ask. Whatever the engine answers,
    the block goes on: a disk that is half written helps nobody.
    """
    if not grant.attempt:
        yield
        return
    over = threading.Event()
    seconds = (grant.seconds or UNTOLD_SECONDS) / _SHARE
    keeper = threading.Thread(
        target=_keep, args=(run, query, grant, seconds, over), name="gate", daemon=True
    )
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join(timeout=0.2)  # one that waits for an answer may end when it comes


def _keep(run: Run, query: str, grant: Grant, seconds: float, over: threading.Event) -> None:
    while not over.wait(jittered(seconds, run.dice)):
        try:
            run.engine.renew_grant(query, grant.attempt)
        except Unreachable as error:
            logger.info("the gate was not told that the install goes on: %s", error)
        except NotNow as error:
            logger.warning("%s; the install goes on", error)
            if 400 <= error.status < 500:
                return
