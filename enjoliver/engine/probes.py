"""Asks the public matchbox instances how they are, over HTTP with short patience."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import httpx

LIGHT_PATHS = ("/", "/boot.ipxe", "/boot.ipxe.0", "/assets")
"""matchbox answers these without reading its groups."""
HEAVY_PATH = "/metadata"
"""Reads every group file, as `/ipxe` and `/ignition` do: half a second with 10,000 groups."""
UNKNOWN_MAC = "00-00-00-00-00-00"
"""No machine has it, so it gets what an unknown machine gets."""

LIGHT_SECONDS = httpx.Timeout(2.0, connect=1.0)
HEAVY_SECONDS = httpx.Timeout(10.0, connect=1.0)


@dataclass(frozen=True, slots=True)
class Discovery:
    """What an unknown machine gets from matchbox: a script, and an Ignition that parses."""

    metadata: bool = False
    ipxe: bool = False
    ignition: bool = False


def probe_instances(urls: Sequence[str]) -> dict[str, dict[str, bool]]:
    """Per instance, per light path: whether any HTTP answer came (404 counts, as in 2018)."""
    with ThreadPoolExecutor(max_workers=min(8, max(1, len(urls)))) as pool:
        return dict(zip(urls, pool.map(_probe_instance, urls), strict=True))


def probe_discovery(url: str) -> Discovery:
    """What the instance at `url` gives to an unknown machine; all False when it does not answer."""
    with _client(url, HEAVY_SECONDS) as client:
        try:
            client.get(HEAVY_PATH)
            script = client.get("/ipxe", params={"mac": UNKNOWN_MAC})
            config = client.get("/ignition", params={"mac": UNKNOWN_MAC})
        except httpx.HTTPError:
            return Discovery()
    return Discovery(
        metadata=True,
        ipxe=script.status_code == 200 and script.text.startswith("#!ipxe"),
        ignition=config.status_code == 200 and _is_ignition(config),
    )


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Read once: loading the certificate store costs more than the whole probe."""
    return ssl.create_default_context()


def _client(url: str, timeout: httpx.Timeout) -> httpx.Client:
    # Proxies of the environment are for the Internet, matchbox is a neighbour.
    return httpx.Client(base_url=url, timeout=timeout, trust_env=False, verify=_tls())


def _probe_instance(url: str) -> dict[str, bool]:
    answers = dict.fromkeys(LIGHT_PATHS, False)
    with _client(url, LIGHT_SECONDS) as client:
        for path in LIGHT_PATHS:
            try:
                client.get(path)
            except httpx.HTTPError:
                break  # who does not answer one path is not asked for the others
            answers[path] = True
    return answers


def _is_ignition(answer: httpx.Response) -> bool:
    """True for a JSON object with `ignition.version` (the specification's one required key)."""
    try:
        document = answer.json()
    except ValueError:
        return False
    head = document.get("ignition") if isinstance(document, dict) else None
    return isinstance(head, dict) and isinstance(head.get("version"), str)
