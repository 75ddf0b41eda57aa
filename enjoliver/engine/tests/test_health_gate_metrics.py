"""The metric of health gates."""

from datetime import timedelta

import pytest
from django.utils import timezone

from enjoliver.engine.metrics import exposition
from lifecycle.services import advance_rollouts, check_due_gates
from lifecycle.tests.health.servers import serving
from lifecycle.tests.rollouts.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def url():
    with serving(lambda request: (200 if request.path == "/good" else 500, {}, b"")) as found:
        yield found


def test_gates_of_active_rollouts_are_metrics(url):
    assert b"enjoliver_health_gate_healthy{" not in exposition()
    world = World(workers=1)
    document = {"kind": "http", "healthy_after": 1}
    gates = [
        document | {"name": name, "config": {"url": f"{url}/{name}"}} for name in ("good", "bad")
    ]
    world.policy(health_gates=gates)
    assert b"enjoliver_health_gate_healthy{" not in exposition()
    world.new_revision()
    advance_rollouts(now=world.now)
    check_due_gates(now=timezone.now() - timedelta(seconds=5))
    lines = exposition().decode().splitlines()
    assert 'enjoliver_health_gate_healthy{gate="good",policy="workers"} 1.0' in lines
    assert 'enjoliver_health_gate_healthy{gate="bad",policy="workers"} 0.0' in lines
