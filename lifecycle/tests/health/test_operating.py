"""Health gates for operators: pages of the console, commands."""

import json
from io import StringIO

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.urls import reverse

from lifecycle.models import HealthGate, HealthGateState
from lifecycle.services import set_health_gate
from lifecycle.tests.health.servers import serving
from lifecycle.tests.rollouts.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def url():
    with serving(lambda request: (200 if request.path == "/good" else 500, {}, b"")) as found:
        yield found


@pytest.fixture
def policy(url):
    found = World(workers=1).policy()
    for name in ("good", "bad"):
        document = {"name": name, "kind": "http", "config": {"url": f"{url}/{name}"}}
        set_health_gate(policy=found, document=document, actor="ada")
    return found


def page(name, *args):
    return reverse(f"admin:lifecycle_healthgate_{name}", args=args)


FORM = {
    "name": "web",
    "kind": "http",
    "timeout_seconds": 5,
    "interval_seconds": 15,
    "healthy_after": 2,
    "unhealthy_after": 1,
    "is_enabled": "on",
    "result-TOTAL_FORMS": 0,
    "result-INITIAL_FORMS": 0,
}


def test_a_gate_is_added_changed_and_removed_in_the_console(admin_client, policy):
    config = json.dumps({"url": "http://127.0.0.1:1"})
    sent = FORM | {"policy": policy.pk, "config": config}
    assert admin_client.post(page("add"), sent).status_code == 302
    gate = HealthGate.objects.get(name="web")
    assert gate.config == {"url": "http://127.0.0.1:1"}
    address = page("change", gate.pk)
    assert admin_client.post(address, sent | {"interval_seconds": 60}).status_code == 302
    gate.refresh_from_db()
    assert (gate.policy, gate.interval_seconds) == (policy, 60)
    assert admin_client.post(page("delete", gate.pk), {"post": "yes"}).status_code == 302
    assert not HealthGate.objects.filter(name="web").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": '{"url": "x"}'}, "url: a URL like"),
        ({"config": "{}"}, "url: required"),
        ({"config": '{"url": "http://x", "token": "y"}'}, "no secret is kept in the database"),
        ({"timeout_seconds": 20}, "not longer than interval_seconds"),
        ({"name": "good"}, "another health gate of this name"),
    ],
)
def test_a_mistake_stands_at_its_field(admin_client, policy, changes, words):
    gate = HealthGate.objects.get(name="bad")
    sent = FORM | {"config": json.dumps(gate.config)} | changes
    answer = admin_client.post(page("change", gate.pk), sent)
    assert answer.status_code == 200
    assert words in answer.content.decode()
    gate.refresh_from_db()
    assert gate.name == "bad"


def test_gates_are_checked_from_their_list(admin_client, policy):
    rows = HealthGate.objects.values_list("pk", flat=True)
    sent = {"action": "check_now", "_selected_action": list(rows), "index": 0}
    text = admin_client.post(page("changelist"), sent, follow=True).content.decode()
    assert "good: good: http" in text
    assert "bad: bad: http" in text
    assert HealthGateState.objects.count() == 2
    gate = HealthGate.objects.get(name="bad")
    assert "answers 500" in admin_client.get(page("change", gate.pk)).content.decode()


def test_a_policys_page_shows_its_gates_and_keeps_them(admin_client, policy):
    address = reverse("admin:lifecycle_rollingpolicy_change", args=[policy.pk])
    text = admin_client.get(address).content.decode()
    for gate in HealthGate.objects.all():
        assert page("change", gate.pk) in text
    assert "not checked yet: no rollout of the policy is active" in text


def test_who_only_looks_cannot_check(client, policy):
    viewer = User.objects.create_user("bob", password="x", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_healthgate"))
    client.force_login(viewer)
    rows = HealthGate.objects.values_list("pk", flat=True)
    sent = {"action": "check_now", "_selected_action": list(rows), "index": 0}
    client.post(page("changelist"), sent, follow=True)
    assert not HealthGateState.objects.filter(checked_at__isnull=False).exists()


def run(*words):
    out = StringIO()
    call_command("healthgate", *words, stdout=out)
    return out.getvalue()


def test_gates_are_listed_and_checked_by_command(policy, url):
    assert run("list") == "workers bad http unknown\nworkers good http unknown\n"
    assert run("check", "workers", "good") == f"workers good: good: {url}/good answers 200\n"
    with pytest.raises(CommandError, match="not well: bad"):
        run("check")
    listed = json.loads(run("list", "--json"))
    assert [(one["name"], one["state"]) for one in listed] == [
        ("bad", "unhealthy"),
        ("good", "healthy"),
    ]
    (checked,) = json.loads(run("check", "workers", "good", "--json"))
    assert checked["is_good"]
    with pytest.raises(CommandError, match="policy workers has no health gate other"):
        run("check", "workers", "other")
    HealthGate.objects.all().delete()
    assert run("list") == "no health gates: nothing is asked\n"
