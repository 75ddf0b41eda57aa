"""After publishing: does each public matchbox answer with the bytes that we verified?

The bytes depend on matchbox's and Butane's build, so an older instance may differ from ours.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import httpx
from django.conf import settings

from matchbox_sync.documents import load_document
from matchbox_sync.models import DesiredConfig, ProfileInForce
from matchbox_sync.services.problems import Problems
from scheduling.models import Cluster

logger = logging.getLogger(__name__)
TIMEOUT_SECONDS = 10.0


def compare_public(cluster: Cluster, problems: Problems) -> None:
    """Ask every public matchbox for one machine per profile; report what differs."""
    asked = [(url, *sample) for url in settings.MATCHBOX_URLS for sample in _samples(cluster)]
    # At once: each takes matchbox half a second when it holds 10,000 groups.
    with ThreadPoolExecutor(max_workers=4) as pool:
        reasons = pool.map(lambda one: _compare(one[0], one[2], one[3]), asked)
        for (url, profile, _mac, _body), reason in zip(asked, reasons, strict=True):
            if reason:
                problems.report(
                    stage="compare", profile=profile, message=f"matchbox at {url}: {reason}"
                )


def _samples(cluster: Cluster) -> list[tuple[str, str, bytes]]:
    """(profile, MAC, verified bytes) of the machine with the newest config per profile in force."""
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
            samples.append((profile, row[0], load_document(row[1])))
    return samples


def _compare(url: str, mac: str, body: bytes) -> str:
    try:
        answer = httpx.get(
            f"{url}/ignition",
            params={"mac": mac, "os": "installed"},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )
    except httpx.HTTPError as error:
        logger.warning("matchbox at %s does not answer: %s", url, error)
        return ""  # /healthz says so; it is no fault of the configs
    if answer.status_code != 200:
        return f"answers {answer.status_code} for {mac}"
    if answer.content != body:
        return f"answers other bytes for {mac} than this engine verified; is it another version?"
    return ""
