"""The console's pages on revisions, plans and what waits."""

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from matchbox_sync import running
from matchbox_sync.models import (
    ChangeState,
    DesiredConfig,
    PendingChange,
    PlanRun,
    PlanState,
    Revision,
)
from matchbox_sync.running import set_running_source
from matchbox_sync.services import set_approval_rule, set_release_policy
from matchbox_sync.services.revisions import release_at_once
from matchbox_sync.tasks import run_plans
from matchbox_sync.tests.fleet import place
from matchbox_sync.tests.test_sync import change_value, sync

pytestmark = [pytest.mark.django_db, pytest.mark.matchbox]
REQUEST = "admin:matchbox_sync_plan_request"


@pytest.fixture
def changed(cluster):
    """Two nodes, and a second revision with another time server."""
    machines = [place(number) for number in (1, 2)]
    sync(cluster)
    change_value(cluster, ntp=["ntp.example.test"])
    sync(cluster)
    return machines


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch):
    monkeypatch.setattr("matchbox_sync.admin.plans.hint", lambda task, **options: True)


def page(client, name, *args):
    answer = client.get(reverse(f"admin:matchbox_sync_{name}", args=args))
    assert answer.status_code == 200
    return answer


def text(answer):
    return answer.content.decode()


def test_the_values_of_a_cluster_can_be_tried_from_their_form(admin_client, cluster, changed):
    form = text(admin_client.get(reverse("admin:scheduling_cluster_change", args=[cluster.pk])))
    assert "What would change?" in form
    sent = {"cluster": cluster.pk, "values_text": "timezone: Europe/Paris\n"}
    answer = admin_client.post(reverse(REQUEST), sent, follow=True)
    assert answer.headers["Refresh"]
    assert "Being made" in text(answer)
    run_plans()
    run = PlanRun.objects.get()
    shown = page(admin_client, "planrun_change", run.pk)
    assert "Refresh" not in shown.headers
    assert "r1-srv1.dc1.example.test, r2-srv2.dc1.example.test" in text(shown)
    assert "-NTP=ntp.example.test" in text(shown)
    cluster.refresh_from_db()
    assert cluster.values == {"ntp": ["ntp.example.test"]}


@pytest.mark.parametrize(
    ("values", "reason"), [("ntpp: x", "did you mean ntp"), ("[", "YAML"), ("- a", "mapping")]
)
def test_values_that_cannot_be_are_told(admin_client, cluster, changed, values, reason):
    sent = {"cluster": cluster.pk, "values_text": values}
    answer = admin_client.post(reverse(REQUEST), sent, follow=True)
    assert reason in text(answer)
    assert not PlanRun.objects.exists()


def test_two_revisions_are_compared_from_a_revisions_page(admin_client, cluster, changed):
    second = Revision.objects.get(number=2)
    shown = text(page(admin_client, "revision_change", second.pk))
    assert "Roll back to this revision" not in shown  # it is the one in force
    first = reverse("admin:matchbox_sync_revision_change", args=[Revision.objects.get(number=1).pk])
    assert 'To undo what it changed, roll back to <a class="text-primary-600' in shown
    assert f'href="{first}">revision 1</a>' in shown
    assert "revision 1: " in shown
    sent = {"cluster": cluster.pk, "compare": "1", "with": "2", "revision": "2"}
    admin_client.post(reverse(REQUEST), sent)
    admin_client.post(reverse(REQUEST), {**sent, "compare": ""})
    run_plans()
    compared, moved = PlanRun.objects.order_by("pk")
    assert (compared.state, compared.request) == (PlanState.DONE, {"compare": [1, 2]})
    assert moved.request == {"revision": 2}
    assert "+NTP=ntp.example.test" in text(page(admin_client, "planrun_change", compared.pk))


def test_going_back_is_one_click_with_a_reason(admin_client, cluster, changed):
    first = Revision.objects.get(number=1)
    assert "Roll back to this revision" in text(page(admin_client, "revision_change", first.pk))
    target = reverse("admin:matchbox_sync_rollback", args=[first.pk])
    assert "Say why" in text(admin_client.post(target, {"reason": " "}, follow=True))
    answer = admin_client.post(target, {"reason": "clocks"}, follow=True)
    assert "Revision 3 has the content of revision 1" in text(answer)
    assert "being made" in text(page(admin_client, "revision_changelist"))
    assert "is the one in force" in text(admin_client.post(target, {"reason": "x"}, follow=True))
    assert Revision.objects.count() == 3


def test_a_change_is_planned_approved_and_rejected_on_its_page(admin_client, cluster, changed):
    set_approval_rule(lambda cluster, profiles: "workers need it")
    try:
        change_value(cluster, timezone="Europe/Paris")
        sync(cluster)
    finally:
        set_approval_rule(None)
    change = PendingChange.objects.get()
    shown = text(page(admin_client, "pendingchange_change", change.pk))
    assert "Approve" in shown
    assert "No plan was made yet" in shown
    sent = {"cluster": cluster.pk, "pending": change.pk}
    admin_client.post(reverse(REQUEST), sent)
    run_plans()
    assert "The plan of" in text(page(admin_client, "pendingchange_change", change.pk))
    reject = reverse("admin:matchbox_sync_decide", args=[change.pk, "reject"])
    assert "Say why it is rejected" in text(admin_client.post(reject, {"reason": ""}, follow=True))
    change.refresh_from_db()
    assert change.state == ChangeState.WAITING
    said = text(admin_client.post(reject, {"reason": "not today"}, follow=True))
    assert f"Change {change.pk} is rejected: it stays out of force" in said
    approve = reverse("admin:matchbox_sync_decide", args=[change.pk, "approve"])
    assert "the next sync makes it a revision" in text(admin_client.post(approve, follow=True))
    assert "by now" in text(admin_client.post(approve, follow=True))
    assert sync(cluster).revision == 3
    shown = text(page(admin_client, "pendingchange_change", change.pk))
    assert "Reject: it stays" not in shown


def test_the_list_of_machines_shows_running_desired_and_previous(
    admin_client, cluster, changed, django_assert_max_num_queries
):
    digest = changed[0].configs.get(revision__number=1).document_id
    before = running._source
    set_running_source(lambda machine_ids: {changed[0].pk: digest})
    try:
        with django_assert_max_num_queries(12) as few:
            shown = text(page(admin_client, "desiredconfig_changelist"))
        assert "unknown" in shown
        for number in range(3, 8):
            place(number)
        sync(cluster)
        with django_assert_max_num_queries(len(few.captured_queries)):
            page(admin_client, "desiredconfig_changelist")
    finally:
        set_running_source(before)


def test_held_machines_are_given_their_newest_config_and_sent_back(admin_client, cluster, changed):
    set_release_policy(lambda revision, machine_ids: ())
    try:
        change_value(cluster, timezone="Europe/Paris")
        sync(cluster)
    finally:
        set_release_policy(release_at_once)
    ids = [machine.pk for machine in changed]
    target = reverse("admin:matchbox_sync_desiredconfig_changelist")
    sent = {"action": "go_forward", "_selected_action": ids}
    assert "2 machines moved" in text(admin_client.post(target, sent, follow=True))
    numbers = DesiredConfig.objects.values_list("config__revision__number", flat=True)
    assert list(numbers) == [3, 3]
    sent["action"] = "go_back"
    assert "2 machines went back" in text(admin_client.post(target, sent, follow=True))
    assert list(numbers.all()) == [2, 2]


@pytest.mark.parametrize("may", ["view_revision", "view_pendingchange", "view_planrun"])
def test_a_reader_sees_the_pages_and_changes_nothing(client, cluster, changed, may):
    set_approval_rule(lambda cluster, profiles: "workers need it")
    try:
        change_value(cluster, timezone="Europe/Paris")
        sync(cluster)
    finally:
        set_approval_rule(None)
    user = User.objects.create_user("reader", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename=may))
    client.force_login(user)
    model = may.removeprefix("view_")
    assert "<form method" not in text(page(client, f"{model}_changelist"))
    for name, args in (
        (REQUEST, []),
        ("admin:matchbox_sync_rollback", [Revision.objects.get(number=1).pk]),
        ("admin:matchbox_sync_decide", [PendingChange.objects.get().pk, "approve"]),
    ):
        assert client.post(reverse(name, args=args), {"reason": "x"}).status_code == 403
