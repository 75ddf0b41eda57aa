"""A scratch matchbox directory per test, and the real public matchbox on it where asked for."""

import subprocess
from contextlib import contextmanager

import httpx
import pytest
from django.conf import settings as django_settings
from django.core.cache import cache

from enjoliver.common.polling import wait_until
from matchbox_sync import upstream
from scheduling.models import Cluster
from tools.ports import free_port

PATIENCE = 60
"""Seconds for an answer of a program that this computer may be too busy to run."""


@pytest.fixture
def cluster(db, settings, tmp_path):
    """The default cluster with a control plane of one, publishing into a scratch directory."""
    cache.clear()  # of what an earlier test was told a moment ago
    settings.SYNC_NOTIFY_TTL_SECONDS = 240  # a sync is fresh as long as any test takes
    settings.MATCHBOX_PATH = tmp_path / "matchbox"
    settings.ASSETS_PATH = tmp_path / "matchbox" / "assets"
    settings.SSH_KEYS_PATH = tmp_path / "ssh"
    settings.SITE_TEMPLATES = ""
    settings.MATCHBOX_URLS = ["http://127.0.0.1:9"]  # discard: nothing answers there
    Cluster.objects.filter(name="default").update(control_plane_size=1)
    return Cluster.objects.get(name="default")


@contextmanager
def running_matchbox(path):
    """The real matchbox on `path`; yields its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [
            django_settings.MATCHBOX_BIN,
            f"-address={url.removeprefix('http://')}",
            f"-data-path={path}",
            f"-assets-path={path}/assets",
            "-log-level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: answers(url), seconds=120, what="matchbox answers")
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE)


def answers(url):
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def public_matchbox(cluster, settings, monkeypatch):
    """The real matchbox on the directory that the sync publishes to."""
    for folder in ("groups", "profiles", "ignition", "assets"):
        (settings.MATCHBOX_PATH / folder).mkdir(parents=True)
    with (
        running_matchbox(settings.MATCHBOX_PATH) as url,
        httpx.Client(timeout=PATIENCE, trust_env=False) as client,
    ):
        settings.MATCHBOX_URLS = [url]
        monkeypatch.setattr(upstream, "_client", lambda: client)
        yield url


def fetch(url):
    """The answer of a matchbox, however long it takes."""
    return httpx.get(url, timeout=PATIENCE, trust_env=False)
