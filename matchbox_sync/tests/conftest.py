"""A scratch matchbox directory per test, and the real public matchbox on it where asked for."""

import socket
import subprocess
from contextlib import contextmanager

import httpx
import pytest
from django.conf import settings as django_settings

from enjoliver.common.polling import wait_until
from scheduling.models import Cluster


@pytest.fixture
def cluster(db, settings, tmp_path):
    """The default cluster with a control plane of one, publishing into a scratch directory."""
    settings.MATCHBOX_PATH = tmp_path / "matchbox"
    settings.ASSETS_PATH = tmp_path / "matchbox" / "assets"
    settings.SSH_KEYS_PATH = tmp_path / "ssh"
    settings.SITE_TEMPLATES = ""
    settings.MATCHBOX_URLS = ["http://127.0.0.1:9"]  # discard: nothing answers there
    Cluster.objects.filter(name="default").update(control_plane_size=1)
    return Cluster.objects.get(name="default")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running_matchbox(path):
    """The real matchbox on `path`; yields its URL."""
    url = f"http://127.0.0.1:{free_port()}"
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
        wait_until(lambda: answers(url), seconds=20, what="matchbox answers")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def answers(url):
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def public_matchbox(cluster, settings):
    """The real matchbox on the directory that the sync publishes to."""
    for folder in ("groups", "profiles", "ignition", "assets"):
        (settings.MATCHBOX_PATH / folder).mkdir(parents=True)
    with running_matchbox(settings.MATCHBOX_PATH) as url:
        settings.MATCHBOX_URLS = [url]
        yield url
