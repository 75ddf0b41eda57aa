"""A small fleet, a matchbox that answers, and operators."""

import base64

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache

from enjoliver.engine import health
from enjoliver.engine.tests.fake_matchbox import fake_matchbox, refused_url
from lifecycle.tests.factories import desire
from machines.discovery import parse_report
from machines.services import record_discovery
from machines.tests.factories import document
from scheduling.roles import CONTROL_PLANE_ROLES, RoleName
from scheduling.services import assign_roles


@pytest.fixture(autouse=True)
def _nothing_kept():
    cache.clear()
    health.forget_probes()
    yield
    cache.clear()
    health.forget_probes()


@pytest.fixture
def matchbox(settings):
    with fake_matchbox() as server:
        settings.MATCHBOX_URLS = [server.url]
        yield server


@pytest.fixture
def no_matchbox(settings):
    settings.MATCHBOX_URLS = [refused_url()]


@pytest.fixture
def fleet(db, no_matchbox):
    """Machine 1 is a node with a config, 2 is in the control plane, 3 waits."""
    machines = [
        record_discovery(report=parse_report(document(number))).machine for number in (1, 2, 3)
    ]
    assign_roles(machine=machines[0], roles=[RoleName.NODE], actor="test")
    assign_roles(machine=machines[1], roles=list(CONTROL_PLANE_ROLES), actor="test")
    desire(machines[0], b'{"ignition": {"version": "3.3.0"}}')
    return machines


def basic(name, password):
    """The header of HTTP Basic in a WSGI environment."""
    sent = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"HTTP_AUTHORIZATION": f"Basic {sent}"}


@pytest.fixture
def operator(db):
    """The header of an operator who may do everything."""
    User.objects.create_superuser("operator", password="right")
    return basic("operator", "right")


@pytest.fixture
def reader(db):
    """The header of a user without any permission."""
    User.objects.create_user("reader", password="right")
    return basic("reader", "right")
