"""/api/v1: plans, revisions, pending changes."""

import json

import pytest
from django.contrib.auth.models import Permission, User

from matchbox_sync.models import PlanRun, PlanState
from matchbox_sync.services import planruns, run_next_plan, set_approval_rule
from matchbox_sync.tasks import run_plans
from matchbox_sync.tests.fleet import mac_of, place
from matchbox_sync.tests.test_sync import change_value, sync

pytestmark = [pytest.mark.django_db, pytest.mark.matchbox]


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
    monkeypatch.setattr("matchbox_sync.views.plans.hint", lambda task, **options: True)


def post(client, path, document=None):
    body = json.dumps(document) if document is not None else ""
    return client.post(path, body, content_type="application/json")


def test_a_plan_is_asked_for_made_by_a_worker_and_read(admin_client, client, cluster, changed):
    answer = post(admin_client, "/api/v1/plan", {"values": {"timezone": "Europe/Paris"}})
    assert answer.status_code == 202
    place_ = answer.headers["Location"]
    assert (answer.json()["state"], answer.json()["plan"]) == ("queued", None)
    run_plans()
    document = client.get(place_).json()
    assert (document["state"], document["done"], document["total"]) == ("done", 2, 2)
    assert document["plan"]["counts"]["changed"] == 2
    assert document["plan"]["groups"][0]["changes"]


@pytest.mark.parametrize(
    ("request_", "counts"),
    [
        ({}, {"unchanged": 2}),
        ({"revision": 1}, {"changed": 2}),
        ({"compare": [1, 2]}, {"changed": 2}),
    ],
)
def test_every_kind_of_plan_is_made(admin_client, cluster, changed, request_, counts):
    answer = post(admin_client, "/api/v1/plan", request_)
    assert answer.status_code == 202
    run = run_next_plan()
    assert run is not None
    plan = planruns.read_result(run)
    assert plan is not None
    assert {key: number for key, number in plan["counts"].items() if number} == counts


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"values": {"ntpp": 1}}, 400),
        ({"values": []}, 400),
        ({"replace": "x"}, 400),
        ({"what": 1}, 400),
        ({"revision": 1, "values": {}}, 400),
        ({"revision": 1, "pending": 1}, 400),
        ({"compare": [1]}, 400),
        ({"compare": [1, "x"]}, 404),
        ({"revision": 99}, 404),
        ({"revision": True}, 404),
        ({"pending": 1 << 80}, 404),
        ({"cluster": "other"}, 404),
        ({"cluster": 1}, 400),
        ([], 400),
    ],
)
def test_a_plan_that_cannot_be_is_refused_at_once(admin_client, cluster, changed, request_, status):
    answer = post(admin_client, "/api/v1/plan", request_)
    assert (answer.status_code, PlanRun.objects.count()) == (status, 0)
    assert answer.json()["value"]


def test_a_plan_whose_worker_died_is_made_again_a_few_times(admin_client, cluster, changed):
    post(admin_client, "/api/v1/plan", {})
    PlanRun.objects.update(state=PlanState.RUNNING, tries=1, heard_at="2020-01-01T00:00:00Z")
    run = run_next_plan()
    assert run is not None
    assert (run.state, run.tries) == ("done", 2)
    PlanRun.objects.update(state=PlanState.RUNNING, tries=3, heard_at="2020-01-01T00:00:00Z")
    assert run_next_plan() is None
    assert "died" in PlanRun.objects.get().message


def test_a_fault_while_planning_is_told_and_blocks_nobody(
    admin_client, cluster, changed, monkeypatch
):
    def fail(**kwargs):
        raise RuntimeError("broken")

    post(admin_client, "/api/v1/plan", {})
    with monkeypatch.context() as patched:
        patched.setattr(planruns, "plan_change", fail)
        run_plans()
    assert "broken" in PlanRun.objects.get().message
    post(admin_client, "/api/v1/plan", {})
    run_plans()
    assert PlanRun.objects.latest("pk").state == "done"


def test_revisions_are_read_in_pages(client, cluster, changed):
    page = client.get("/api/v1/revisions?limit=1").json()
    assert [row["number"] for row in page["items"]] == [2]
    rest = client.get(f"/api/v1/revisions?limit=1&after={page['next']}").json()
    assert ([row["number"] for row in rest["items"]], rest["next"]) == ([1], None)
    assert client.get("/api/v1/revisions/2").json()["values"]["ntp"] == ["ntp.example.test"]
    for path in ("0", "99", "x", "9" * 30, "%00"):
        assert client.get(f"/api/v1/revisions/{path}").status_code in (400, 404)
    for query in ("limit=0", "limit=x", "after=-1", "limit=" + "9" * 30):
        answer = client.get(f"/api/v1/revisions?{query}")
        assert (answer.status_code, list(answer.json()["fields"])) == (400, [query.split("=")[0]])


def test_a_machines_diff_between_two_revisions(client, cluster, changed):
    answer = client.get(f"/api/v1/revisions/1/diff/2?machine={mac_of(1)}").json()
    assert answer["counts"]["changed"] == 1
    names = [change["name"] for change in answer["groups"][0]["changes"]]
    assert any("timesyncd" in name for name in names)
    assert client.get("/api/v1/revisions/1/diff/2").status_code == 400
    assert client.get("/api/v1/revisions/1/diff/2?machine=nobody").status_code == 404


def test_what_each_machine_shall_run(client, cluster, changed, django_assert_max_num_queries):
    with django_assert_max_num_queries(5):
        rows = client.get("/api/v1/desired-configs").json()["items"]
    assert [(row["mac"], row["desired"], row["previous"]) for row in rows] == [
        (mac_of(2), 2, 1),
        (mac_of(1), 2, 1),
    ]


def test_a_rollback_over_the_api(admin_client, cluster, changed):
    assert post(admin_client, "/api/v1/revisions/1/rollback", {}).status_code == 400
    answer = post(admin_client, "/api/v1/revisions/1/rollback", {"reason": "clocks"})
    assert answer.status_code == 200
    assert (answer.json()["number"], answer.json()["author"]) == (3, "admin")
    again = post(admin_client, "/api/v1/revisions/1/rollback", {"reason": "clocks"})
    assert again.status_code == 409


def test_a_change_is_decided_over_the_api(admin_client, client, cluster, changed):
    set_approval_rule(lambda cluster, profiles: "workers need it")
    try:
        change_value(cluster, timezone="Europe/Paris")
        sync(cluster)
        (change,) = client.get("/api/v1/pending-changes").json()["items"]
        assert (change["state"], change["is_open"]) == ("waiting", True)
        path = f"/api/v1/pending-changes/{change['id']}"
        assert client.get(path).json() == change
        assert post(admin_client, f"{path}/postpone").status_code == 404
        assert post(admin_client, f"{path}/approve", {"reason": 1}).status_code == 400
        assert post(admin_client, f"{path}/approve").json()["state"] == "approved"
        assert post(admin_client, f"{path}/approve").status_code == 409
        assert sync(cluster).revision == 3
        assert client.get(path).json()["revision"] == 3
    finally:
        set_approval_rule(None)


@pytest.mark.parametrize(
    ("path", "codename"),
    [
        ("/api/v1/plan", "add_planrun"),
        ("/api/v1/revisions/1/rollback", "add_revision"),
        ("/api/v1/pending-changes/1/approve", "change_pendingchange"),
        ("/api/v1/pending-changes/1/reject", "change_pendingchange"),
    ],
)
def test_what_changes_something_needs_its_permission(client, cluster, path, codename):
    assert post(client, path, {"reason": "x"}).status_code == 401
    user = User.objects.create_user("reader", is_staff=True)
    client.force_login(user)
    assert post(client, path, {"reason": "x"}).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename=codename))
    assert post(client, path, {"reason": "x"}).status_code in (400, 404)
