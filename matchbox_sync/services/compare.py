"""After publishing: does each public matchbox answer with the bytes that we verified?

The bytes depend on matchbox's and Butane's build, so an older instance may differ from ours.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
from django.conf import settings

from matchbox_sync.documents import load_document
from matchbox_sync.models import DesiredConfig, Problem, ProfileInForce
from matchbox_sync.services.problems import Problems
from scheduling.models import Cluster

logger = logging.getLogger(__name__)
TIMEOUT_SECONDS = 10.0
ASK_AGAIN_SECONDS = 3600.0

_agreed_at: dict[tuple[str, int], float] = {}
"""When an instance (its URL) last gave our bytes for a profile version; of this process only."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """A machine that stands for one content of a profile, with its verified bytes."""

    version_id: int
    profile: str
    mac: str
    body: bytes


def compare_public(cluster: Cluster, problems: Problems) -> None:
    """Ask every public matchbox for one machine per profile; report what differs.

    An instance that gave our bytes for a profile's content is asked again an hour later: with
    10,000 groups an answer costs it a second of CPU, and another machine's group changes nothing
    in how it renders. While anything differs, everything is asked each time.
    """
    if Problem.objects.filter(cluster=cluster, stage="compare").exists():
        _agreed_at.clear()
    samples = _samples(cluster)
    pairs = [(url, sample) for url in settings.MATCHBOX_URLS for sample in samples]
    asked = [(url, sample) for url, sample in pairs if _is_due(url, sample)]
    with ThreadPoolExecutor(max_workers=4) as pool:
        reasons = pool.map(lambda pair: _compare(*pair), asked)
        for (url, sample), reason in zip(asked, reasons, strict=True):
            if reason:
                problems.report(
                    stage="compare",
                    profile=sample.profile,
                    message=f"matchbox at {url}: {reason}",
                )
            elif reason is not None:
                _agreed_at[url, sample.version_id] = time.monotonic()


def _is_due(url: str, sample: _Sample) -> bool:
    agreed_at = _agreed_at.get((url, sample.version_id))
    return agreed_at is None or time.monotonic() - agreed_at > ASK_AGAIN_SECONDS


def _samples(cluster: Cluster) -> list[_Sample]:
    """Of each profile in force the machine with the newest config."""
    samples = []
    for profile, version_id in ProfileInForce.objects.filter(cluster=cluster).values_list(
        "profile", "version_id"
    ):
        row = (
            DesiredConfig.objects.filter(profile=profile, config__version_id=version_id)
            .order_by("-config_id")
            .values_list("config__mac", "sha512")
            .first()
        )
        if row:
            samples.append(_Sample(version_id, profile, row[0], load_document(row[1])))
    return samples


def _compare(url: str, sample: _Sample) -> str | None:
    """Why the answer differs, "" when it does not, None without an answer."""
    mac, body = sample.mac, sample.body
    try:
        answer = httpx.get(
            f"{url}/ignition",
            params={"mac": mac, "os": "installed"},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )
    except httpx.HTTPError as error:
        logger.warning("matchbox at %s does not answer: %s", url, error)
        return None  # /healthz says so; it is no fault of the configs
    if answer.status_code != 200:
        return f"answers {answer.status_code} for {mac}"
    if answer.content != body:
        return f"answers other bytes for {mac} than this engine verified; is it another version?"
    return ""
