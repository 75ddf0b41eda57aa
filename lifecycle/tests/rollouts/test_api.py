"""/api/v1 of policies, rollouts, freezes, slots and why."""

import json

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from lifecycle.tests.rollouts.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    made = World(workers=3)
    made.now = timezone.now()
    made.report_all()
    return made


@pytest.fixture
def rolling(world):
    world.policy()
    world.new_revision()
    world.advance()
    return world


@pytest.fixture
def operator(client):
    user = User.objects.create_user("ada")
    names = ("rollingpolicy", "rollout", "freeze")
    user.user_permissions.set(Permission.objects.filter(content_type__model__in=names))
    user.user_permissions.add(Permission.objects.get(codename="add_revision"))
    client.force_login(user)
    return client


def send(client, method, path, document=None):
    body = "" if document is None else json.dumps(document)
    return client.generic(method, f"/api/v1/{path}", body, content_type="application/json")


class TestPolicies:
    def test_one_is_made_changed_and_deleted(self, operator, world):
        made = send(operator, "POST", "policies", {"name": "workers", "max_unavailable": "50%"})
        assert (made.status_code, made.json()["machines"]) == (201, 3)
        assert made.json()["advice"] == ["50% of 3 machines are 1 at present."]
        changed = send(operator, "PATCH", "policies/workers", {"priority": 4})
        assert (changed.json()["priority"], changed.json()["max_unavailable"]) == (4, "50%")
        [listed] = operator.get("/api/v1/policies").json()["items"]
        assert (listed["name"], listed["updated_by"]) == ("workers", "ada")
        assert send(operator, "DELETE", "policies/workers").json() == {"deleted": "workers"}
        assert operator.get("/api/v1/policies/workers").status_code == 404

    def test_what_is_wrong_is_named(self, operator, world):
        answer = send(operator, "POST", "policies", {"name": "a", "max_unavailable": "0"})
        assert answer.status_code == 400
        assert list(answer.json()["fields"]) == ["max_unavailable"]
        send(operator, "POST", "policies", {"name": "a"})
        renamed = send(operator, "PATCH", "policies/a", {"name": "b"})
        assert renamed.json()["fields"] == {"name": "kept"}

    def test_it_is_shown_without_a_query_for_each(self, client, world, django_assert_num_queries):
        for number in range(4):
            world.policy(f"p{number}")
        client.get("/api/v1/policies")
        with django_assert_num_queries(2):
            assert len(client.get("/api/v1/policies").json()["items"]) == 4


class TestRollouts:
    def test_they_are_listed_with_their_counts(self, client, rolling):
        listed = client.get("/api/v1/rollouts?state=active&policy=workers").json()
        [found] = listed["items"]
        assert (found["state"], found["machines"]["open"], listed["next"]) == ("running", 1, None)
        assert client.get("/api/v1/rollouts?state=aborted").json()["items"] == []
        assert client.get("/api/v1/rollouts?state=x").status_code == 400
        assert client.get("/api/v1/rollouts/workers").json()["id"] == found["id"]

    def test_its_machines_come_in_pages(self, client, rolling):
        first = client.get("/api/v1/rollouts/workers/machines?limit=2").json()
        assert [row["position"] for row in first["items"]] == [1, 2]
        rest = client.get(f"/api/v1/rollouts/workers/machines?after={first['next']}").json()
        assert [row["position"] for row in rest["items"]] == [3]
        waiting = client.get("/api/v1/rollouts/workers/machines?state=waiting").json()
        assert len(waiting["items"]) == 2

    def test_an_operator_pauses_resumes_skips_and_aborts(self, operator, rolling):
        act = "rollouts/workers"
        assert send(operator, "POST", f"{act}/pause").status_code == 400
        paused = send(operator, "POST", f"{act}/pause", {"reason": "look"})
        assert paused.json()["reason"] == "by ada: look"
        assert send(operator, "POST", f"{act}/resume").json()["state"] == "running"
        wanted = {"machine": rolling.workers[0].boot_mac, "reason": "old"}
        assert send(operator, "POST", f"{act}/skip", wanted).json()["machines"]["skipped"] == 1
        assert send(operator, "POST", f"{act}/skip", {"reason": "old"}).status_code == 400
        assert send(operator, "POST", f"{act}/abort", {"reason": "no"}).json()["state"] == "aborted"
        assert send(operator, "POST", f"{act}/abort", {"reason": "no"}).status_code == 409
        assert send(operator, "POST", f"{act}/dance", {"reason": "no"}).status_code == 404

    def test_an_operator_starts_one(self, operator, rolling):
        assert send(operator, "POST", "policies/workers/start").status_code == 409
        send(operator, "POST", "rollouts/workers/abort", {"reason": "no"})
        assert send(operator, "POST", "policies/workers/start").json()["state"] == "running"

    def test_others_may_not(self, client, rolling):
        assert send(client, "POST", "rollouts/workers/abort", {"reason": "no"}).status_code == 401
        client.force_login(User.objects.create_user("eve"))
        assert send(client, "POST", "rollouts/workers/abort", {"reason": "no"}).status_code == 403


class TestOthers:
    def test_a_freeze_is_set_listed_and_lifted(self, operator, rolling):
        made = send(operator, "POST", "freezes", {"reason": "audit", "policy": "workers"})
        assert (made.status_code, made.json()["scope"]) == (201, "policy workers")
        assert len(operator.get("/api/v1/freezes").json()["items"]) == 1
        assert send(operator, "DELETE", f"freezes/{made.json()['id']}").json()["lifted_by"] == "ada"
        assert operator.get("/api/v1/freezes").json()["items"] == []
        assert len(operator.get("/api/v1/freezes?all=1").json()["items"]) == 1
        assert send(operator, "POST", "freezes", {"reason": "x", "cluster": "?"}).status_code == 400

    def test_held_slots_are_listed(self, client, rolling):
        opened = next(m for m in rolling.workers if rolling.place(m).state == "open")
        rolling.lock(opened)
        [slot] = client.get("/api/v1/slots").json()["items"]
        assert (slot["mac"], slot["group"], slot["phase"]) == (
            opened.boot_mac,
            "workers",
            "draining",
        )

    def test_why_has_an_answer_for_machines_and_rollouts(self, client, rolling):
        mac = rolling.workers[0].boot_mac
        for path in (f"machines/{mac}", "rollouts/workers"):
            answer = client.get(f"/api/v1/why/{path}")
            assert answer.status_code == 200
            assert answer.json()["answer"]
        assert client.get("/api/v1/why/machines/nobody").status_code == 404
