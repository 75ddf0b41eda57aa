"""The site that the tables are about: three machines that the engine knows, and its operators."""

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache

from enjoliver.engine import health
from matchbox_sync.services import sync_cluster
from matchbox_sync.tests.conftest import cluster  # noqa: F401 - a fixture
from matchbox_sync.tests.fleet import discover, place
from scheduling.services import default_cluster
from tests.contract.site import ETCD, NODE, NODE_MACHINE, PLANE, PLANE_MACHINE, WAITING


@pytest.fixture(autouse=True)
def _nothing_kept():
    cache.clear()
    health.forget_probes()
    yield
    cache.clear()
    health.forget_probes()


@pytest.fixture
def _default_cluster(db):
    default_cluster()  # tests that really commit leave none behind


@pytest.fixture
def site(_default_cluster, cluster):  # noqa: F811
    """A control plane of one, a node, a machine without a role; matchbox away; two users."""
    place(PLANE_MACHINE, [ETCD, PLANE])
    place(NODE_MACHINE, [NODE])
    discover(WAITING)
    User.objects.create_superuser("operator", password="right")
    User.objects.create_user("reader", password="right")
    return cluster


@pytest.fixture
def synced(site):
    """The same site after its first sync: each role holder has a verified config."""
    sync_cluster(cluster=site)
    return site
