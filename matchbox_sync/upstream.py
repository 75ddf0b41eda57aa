"""Asking a public matchbox, for the little that the engine does not hold."""

from __future__ import annotations

import logging
from functools import lru_cache

import httpx
from django.conf import settings
from django.core.cache import cache

from enjoliver.common.errors import BadGateway
from machines.services import record_event

logger = logging.getLogger(__name__)
TIMEOUT_SECONDS = 10.0
_EVENT_EVERY_SECONDS = 60


@lru_cache(maxsize=1)
def _client() -> httpx.Client:
    # A proxy in the environment is for the way out, not for matchbox.
    return httpx.Client(timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=1.0), trust_env=False)


def ask_matchbox(path: str, raw_query: str) -> tuple[int, bytes]:
    """(status, body) of the first public matchbox that answers `path?raw_query`.

    Raises BadGateway when none does; an event says so, at most once a minute.
    """
    for url in settings.MATCHBOX_URLS:
        try:
            answer = _client().get(f"{url}{path}?{raw_query}" if raw_query else f"{url}{path}")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            logger.warning("matchbox at %s does not answer: %s", url, error)
        else:
            return answer.status_code, answer.content
    if cache.add("matchbox-away-event", 1, _EVENT_EVERY_SECONDS):
        record_event(
            kind="matchbox_unreachable",
            level="error",
            message=f"no matchbox answers ({', '.join(settings.MATCHBOX_URLS)})",
        )
    raise BadGateway("matchbox doesn't respond")
