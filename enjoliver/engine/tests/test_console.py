"""The console's first page and the engine's pages, and the way there."""

from datetime import timedelta

import pytest
from django.utils import timezone

from enjoliver.common.leases import beat
from lifecycle.models import IgnitionReport
from machines.states import State
from machines.tests.factories import MachineConflictFactory, MachineFactory
from matchbox_sync.models import Problem, SyncState
from scheduling.models import Cluster
from scheduling.tests.factories import WaitingFactory, make_fleet

pytestmark = pytest.mark.django_db


def page(client):
    answer = client.get("/admin/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_browser_comes_to_the_console(client):
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert client.get("/", HTTP_ACCEPT=accept).headers["Location"] == "/ui"
    assert client.get("/ui").headers["Location"] == "/admin/"
    assert client.get("/admin/").headers["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("accept", ["*/*", "", "application/json", "nonsense", "text/html;q=x"])
def test_a_program_gets_the_list(client, accept):
    assert client.get("/", HTTP_ACCEPT=accept).status_code in (200, 302)
    assert isinstance(client.get("/", HTTP_ACCEPT="*/*").json(), list)


def test_an_empty_engine_says_so(admin_client):
    text = page(admin_client)
    assert "No machine has reported yet" in text
    assert "No worker has shown life yet" in text
    assert "no sync has ended well yet" in text
    assert "need no credential" in text


def test_the_fleet_is_on_the_page(admin_client):
    now = timezone.now()
    machine = MachineFactory.create(state=State.RUNNING, installed_at=now)
    IgnitionReport.objects.create(
        machine=machine, is_up_to_date=False, reported_at=now, created_at=now
    )
    WaitingFactory(reason="control plane needs 3 machines, 2 available")
    MachineConflictFactory(machine=machine)
    beat("worker")
    cluster = Cluster.objects.get(name="default")
    SyncState.objects.update_or_create(
        cluster=cluster, defaults={"notified_at": now, "outcome": "nothing to do"}
    )
    Problem.objects.create(
        cluster=cluster, stage="render", profile="kubernetes-node", message="<b>bad</b>", since=now
    )
    text = page(admin_client)
    assert "control plane needs 3 machines, 2 available" in text
    assert "wait for their turn" in text
    assert "1 open contradiction between" in text
    assert "nothing to do" in text
    assert "&lt;b&gt;bad&lt;/b&gt;" in text
    assert "No worker" not in text


def test_an_old_sync_and_a_silent_worker_are_warnings(admin_client):
    cluster = Cluster.objects.get(name="default")
    SyncState.objects.update_or_create(
        cluster=cluster, defaults={"notified_at": timezone.now() - timedelta(hours=2)}
    )
    from enjoliver.common.models import Heartbeat

    Heartbeat.objects.create(name="worker", at=timezone.now() - timedelta(hours=1))
    text = page(admin_client)
    assert "the last good sync was 2" in text
    assert "No worker has shown life for 1" in text


@pytest.mark.parametrize("count", [1, 300])
def test_the_page_costs_the_same_for_any_fleet(admin_client, django_assert_max_num_queries, count):
    make_fleet(count)
    page(admin_client)
    with django_assert_max_num_queries(32):
        page(admin_client)


def test_what_operators_changed_can_be_read_and_not_changed(admin_client, admin_user):
    from django.contrib.admin.models import CHANGE, LogEntry
    from django.contrib.contenttypes.models import ContentType

    entry = LogEntry.objects.create(
        user=admin_user,
        content_type=ContentType.objects.get_for_model(Cluster),
        object_id="1",
        object_repr="default",
        action_flag=CHANGE,
        change_message="size",
    )
    assert "default" in admin_client.get("/admin/admin/logentry/").content.decode()
    path = f"/admin/admin/logentry/{entry.pk}/change/"
    assert admin_client.get(path).status_code == 200
    assert admin_client.post(path, {"object_repr": "x"}).status_code == 403
    assert admin_client.get("/admin/admin/logentry/add/").status_code == 403


@pytest.mark.parametrize(
    "path", ["/admin/auth/user/", "/admin/auth/group/", "/admin/auth/user/add/"]
)
def test_operators_are_managed_in_the_console(admin_client, path):
    assert admin_client.get(path).status_code == 200


def test_files_of_the_console_are_served_without_collecting_them(client):
    for path in (
        "/static/unfold/css/styles.css",
        "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css",
        "/static/engine/apidocs.js",
    ):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert b"".join(answer.streaming_content)


@pytest.mark.parametrize("path", ["/apidocs/", "/apidocs/index.html", "/apidocs"])
def test_the_api_can_be_read_with_files_of_our_own(client, path):
    text = client.get(path).content.decode()
    assert 'data-spec="/apispec_1.json"' in text
    assert "//" not in text.replace("<!DOCTYPE html>", "")
