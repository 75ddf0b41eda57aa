"""Protocol page, "Response" and "Errors": `kind` and `value`, non-empty, few kinds."""

import pytest
from django.db import OperationalError

from lifecycle.models import LockGroup

pytestmark = pytest.mark.django_db


def test_a_full_semaphore_is_told_by_the_protocols_kind_and_who_holds_it(fleetlock):
    fleetlock.lock("node-a")
    answer = fleetlock.lock("node-b")
    assert answer.status_code == 409
    assert set(answer.json()) == {"kind", "value"}
    assert answer.json()["kind"] == "failed_lock_semaphore_full"
    assert "node-a" in answer.json()["value"]


@pytest.mark.parametrize("path", ["/v1/pre-reboot", "/v1/steady-state"])
def test_a_store_that_is_away_is_a_failure_the_client_may_repeat(fleetlock, monkeypatch, path):
    def away(*args, **kwargs):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(LockGroup.objects, "filter", away)
    answer = fleetlock.send(path, "a", "default")
    assert answer.status_code == 503
    assert set(answer.json()) == {"kind", "value"}
    assert answer["Retry-After"]


def test_the_kind_never_depends_on_what_was_sent(fleetlock):
    LockGroup.objects.update(slots=0)
    kinds = {fleetlock.lock(holder).json()["kind"] for holder in ("a", "b", "né")}
    kinds |= {fleetlock.lock("a", group).json()["kind"] for group in ("x", "y.z", "Z-1")}
    assert kinds == {"failed_lock_semaphore_full", "unknown_group"}
