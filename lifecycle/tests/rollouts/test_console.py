"""The console's pages of policies, rollouts and freezes, and the words that they say."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from lifecycle.models import Freeze, RollingPolicy, Rollout
from lifecycle.services import add_freeze, default_document, lift_freeze, policy_document
from lifecycle.tests.rollouts.world import World

pytestmark = pytest.mark.django_db


def page(name, *args):
    return reverse(f"admin:lifecycle_{name}", args=args)


def form_of(document):
    """What a browser sends for a policy."""
    counts = ("TOTAL_FORMS", "INITIAL_FORMS")
    sent: dict[str, Any] = {
        f"{inline}-{count}": 0 for inline in ("members", "health_gates") for count in counts
    }
    for name, value in document.items():
        if name == "health_gates" or value is False:
            continue
        sent[name] = json.dumps(value) if isinstance(value, (dict, list)) else value
    return sent


@pytest.fixture
def world():
    """Now, for pages and commands look at the clock themselves."""
    made = World(workers=3, plane=1)
    made.now = timezone.now()
    made.report_all()
    return made


@pytest.fixture
def rolling(world):
    world.policy()
    world.new_revision()
    world.advance()
    return world


class TestPolicyEditor:
    def send(self, client, world, **changes):
        document = default_document() | {"cluster": world.cluster.pk, "name": "typed"}
        return client.post(page("rollingpolicy_add"), form_of(document | changes), follow=True)

    def test_a_policy_is_made_and_explained(self, admin_client, world):
        selector = {"roles": ["kubernetes-node"]}
        answer = self.send(admin_client, world, selector=selector, max_unavailable="40%")
        assert "40% of 3 machines are 1 at present." in answer.content.decode()
        assert RollingPolicy.objects.get().members.count() == 3

    def test_each_refusal_stands_at_its_field(self, admin_client, world):
        answer = self.send(
            admin_client, world, max_unavailable="many", windows=[{"days": ["someday"]}]
        )
        errors = answer.context["adminform"].form.errors
        assert "expected a count" in errors["max_unavailable"][0]
        assert any("windows.0.days" in reason for reason in errors["windows"])
        assert not RollingPolicy.objects.exists()

    def test_a_lone_control_plane_asks_for_its_downtime(self, admin_client, world):
        roles = {"roles": ["etcd-member"]}
        answer = self.send(admin_client, world, selector=roles, accepts_downtime=False)
        assert "is down while" in str(answer.context["adminform"].form.errors["accepts_downtime"])

    def test_a_change_keeps_name_and_cluster(self, admin_client, world):
        policy = world.policy()
        document = policy_document(policy) | {"name": "other", "max_unavailable": "2"}
        address = page("rollingpolicy_change", policy.pk)
        assert admin_client.post(address, form_of(document)).status_code == 302
        policy.refresh_from_db()
        assert (policy.name, policy.max_unavailable) == ("workers", "2")

    def test_its_page_names_its_machines(self, admin_client, world):
        policy = world.policy()
        text = admin_client.get(page("rollingpolicy_change", policy.pk)).content.decode()
        assert all(machine.assignment.fqdn in text for machine in world.workers)

    def test_one_with_an_active_rollout_cannot_be_deleted(self, admin_client, rolling):
        policy = RollingPolicy.objects.get()
        address = page("rollingpolicy_delete", policy.pk)
        assert admin_client.post(address, {"post": "yes"}).status_code == 403
        Rollout.objects.update(state="aborted")
        admin_client.post(address, {"post": "yes"})
        assert not RollingPolicy.objects.exists()

    def test_a_rollout_is_started_from_the_list(self, admin_client, world):
        policy = world.policy(starts="manual")
        world.new_revision()
        world.advance()
        sent = {"action": "start", "_selected_action": [policy.pk], "index": 0}
        admin_client.post(page("rollingpolicy_changelist"), sent)
        assert world.rollout().state == "running"


class TestRolloutPage:
    def test_it_says_why_and_shows_stages_and_buttons(self, admin_client, rolling):
        rollout = rolling.rollout()
        answer = admin_client.get(page("rollout_change", rollout.pk))
        text = answer.content.decode()
        assert "1 machine is changing" in text
        assert "Roll back to revision 1" in text
        assert answer["Refresh"]

    def test_stages_say_how_long_they_soak_and_how_far_they_are(self, admin_client, world):
        stages = [{"up_to": "50%", "soak_seconds": 600}, {"up_to": "100%"}]
        world.policy(canary_count=1, canary_soak_seconds=90, stages=stages)
        world.new_revision()
        world.advance()
        rollout = world.rollout()
        rollout.machines.filter(position=0).update(state="done")
        answer = admin_client.get(page("rollout_change", rollout.pk))
        shown = answer.context["rollout"]["stages"]
        assert [stage["soak"] for stage in shown] == ["90 s", ""]
        assert [stage["percent"] for stage in shown] == [100, 0]
        assert 'aria-valuenow="0"' in answer.content.decode()

    def test_the_list_says_its_number_and_how_many_are_done(self, admin_client, rolling):
        rollout = rolling.rollout()
        rollout.machines.filter(position=0).update(state="done")
        rollout.machines.filter(position=1).update(state="skipped")
        text = admin_client.get(page("rollout_changelist")).content.decode()
        assert "1 of 3 machines done, 1 left out, stage 1 of 1" in text
        Rollout.objects.update(state="paused", reason="the fans are loud")
        text = admin_client.get(page("rollout_changelist")).content.decode()
        assert "the fans are loud" in text

    def test_its_machines_have_names_and_are_found_by_them(self, admin_client, rolling):
        name = rolling.workers[0].assignment.fqdn
        listed = admin_client.get(page("rolloutmachine_changelist"), {"q": name})
        assert [row.machine for row in listed.context["cl"].result_list] == [rolling.workers[0]]
        assert name in listed.content.decode()

    def test_its_buttons_pause_resume_and_abort(self, admin_client, rolling):
        rollout = rolling.rollout()
        for action, state in (("pause", "paused"), ("resume", "running"), ("abort", "aborted")):
            admin_client.post(page("rollout_act", rollout.pk, action), {"reason": "look"})
            rollout.refresh_from_db()
            assert rollout.state == state

    def test_a_button_without_a_reason_changes_nothing(self, admin_client, rolling):
        rollout = rolling.rollout()
        address = page("rollout_act", rollout.pk, "abort")
        answer = admin_client.post(address, {"reason": ""}, follow=True)
        assert "a reason is needed" in answer.content.decode()
        rollout.refresh_from_db()
        assert rollout.state == "running"

    def test_only_operators_may_press_them(self, client, rolling):
        client.force_login(User.objects.create_user("eve", is_staff=True))
        rollout = rolling.rollout()
        address = page("rollout_act", rollout.pk, "abort")
        assert client.post(address, {"reason": "x"}).status_code == 403

    def test_a_machine_is_left_out_from_the_list(self, admin_client, rolling):
        place = rolling.rollout().machines.first()
        address = page("rolloutmachine_changelist")
        sent = {"action": "leave_out", "_selected_action": [place.pk], "index": 0, "reason": "old"}
        admin_client.post(address, sent)
        place.refresh_from_db()
        assert place.state == "skipped"
        listed = admin_client.get(f"{address}?rollout__id__exact={place.rollout_id}")
        assert listed.status_code == 200


class TestFreezes:
    def test_one_is_set_and_lifted(self, admin_client, world):
        admin_client.post(page("freeze_add"), {"reason": "audit", "ends_at_0": "", "ends_at_1": ""})
        freeze = Freeze.objects.get()
        assert freeze.created_by == "admin"
        sent = {"action": "lift", "_selected_action": [freeze.pk], "index": 0}
        admin_client.post(page("freeze_changelist"), sent)
        freeze.refresh_from_db()
        assert freeze.lifted_by == "admin"

    def test_the_list_says_which_of_them_stop_anything(self, admin_client, world):
        add_freeze(reason="now", actor="ada")
        past = add_freeze(reason="past", actor="ada")
        Freeze.objects.filter(pk=past.pk).update(ends_at=timezone.now() - timedelta(hours=1))
        lift_freeze(freeze=add_freeze(reason="over", actor="ada"), actor="ada")
        listed = admin_client.get(page("freeze_changelist")).context["cl"]
        said = {row.reason: listed.model_admin.now(row) for row in listed.result_list}
        assert said == {"now": "in force", "past": "ended", "over": "lifted"}


def test_a_machines_page_says_why(admin_client, rolling):
    add_freeze(reason="audit", actor="ada", now=rolling.now)
    machine = rolling.workers[0]
    answer = admin_client.get(reverse("admin:machines_machine_change", args=[machine.pk]))
    assert "why nothing happens" in answer.content.decode().lower()
