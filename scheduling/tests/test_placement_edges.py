"""Placement by command, API and console."""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from machines.tests.factories import mac_of
from scheduling.management.commands.placement import read_labels, read_size
from scheduling.models import RoleRule
from scheduling.services import run_scheduler, set_requirements, update_cluster
from scheduling.tests.factories import LATER, make_fleet, make_machine

pytestmark = pytest.mark.django_db


@pytest.fixture
def placed(cluster):
    """Three members in racks 1, 1 and 2, a node in rack 2, a spare in rack 1."""
    update_cluster(cluster=cluster, actor="test", spread_level="rack")
    set_requirements(cluster=cluster, role="control-plane", actor="test", spares=1)
    for number, rack in ((1, 1), (2, 1), (3, 2)):
        make_machine(number, fqdn=f"r{rack}-srv{number}.dc1.x")
    run_scheduler(cluster=cluster, now=LATER)
    for number, rack in ((4, 1), (5, 2)):
        make_machine(number, fqdn=f"r{rack}-srv{number}.dc1.x")
    run_scheduler(cluster=cluster, now=LATER)
    return cluster


def run(*words):
    out = io.StringIO()
    call_command("placement", *words, stdout=out)
    return out.getvalue()


def send(client, path, document):
    return client.post(path, document, content_type="application/json")


@pytest.mark.parametrize(
    ("text", "size"), [("100GiB", 100 * 2**30), ("1.5 TiB", 3 * 2**39), ("7", 7), ("2mib", 2**21)]
)
def test_sizes_have_units(text, size):
    assert read_size(text) == size


def test_labels_are_separated_by_commas():
    assert read_labels("disk=ssd, pool=web") == {"disk": "ssd", "pool": "web"}
    assert read_labels("") == {}
    with pytest.raises(ValueError):
        read_labels("disk")


def test_the_command_shows_the_spread(placed):
    text = run("show")
    assert "spread of the control plane by rack: 67 of 100" in text
    assert f"{mac_of(1)} r1-srv1.dc1.x in site:dc1/rack:1" in text
    assert "site: 0 of 100; the quorum does not survive the loss of any one" in text
    assert "spares of the control plane: 1" in text
    shown = json.loads(run("show", "--json"))
    assert (shown["score"], shown["nodes"], shown["waiting"]) == (67, 1, {"spare": 1})
    assert shown["spread"]["rack"]["domains"] == {"site:dc1/rack:1": 2, "site:dc1/rack:2": 1}
    assert not shown["spread"]["rack"]["quorum_survives"]


def test_the_command_says_what_a_failure_takes_away(placed):
    assert "the quorum is LOST" in run("what-if", "rack:1")
    lost = json.loads(run("what-if", "site:dc1/rack:2", "--json"))
    assert (len(lost["control_plane_lost"]), lost["nodes_lost"]) == (1, 1)
    assert (lost["control_plane_left"], lost["quorum_survives"]) == (2, True)
    assert json.loads(run("what-if", "rack:9", "--json"))["control_plane_left"] == 3


def test_the_command_shows_and_changes_rules(cluster):
    said = run("set", "node", "min_disk_bytes=100GiB", "selector=disk=ssd", "count=4")
    assert f"min_disk_bytes: 0 → {100 * 2**30}" in said
    assert run("set", "node", "count=4") == "nothing to change\n"
    assert json.loads(run("rules", "--json"))["node"]["selector"] == {"disk": "ssd"}
    assert "count = 4" in run("rules")
    assert json.loads(run("set", "node", "count=", "--json")) == {
        "count": {"before": 4, "after": None}
    }
    for words in (["colour=red"], ["spares=many"], ["spares=101"], ["spares"]):
        with pytest.raises(CommandError):
            run("set", "node", *words)
    with pytest.raises(CommandError, match="no cluster"):
        run("show", "--cluster", "other")


def test_the_api_shows_the_placement_and_what_a_failure_takes_away(client, placed):
    assert client.get("/api/v1/placement").json() == json.loads(run("show", "--json"))
    lost = client.get("/api/v1/placement/loss?domain=rack:1").json()
    assert lost == json.loads(run("what-if", "rack:1", "--json"))
    assert client.get("/api/v1/placement/loss").status_code == 400
    for typo in ("rack", "racks:1", "dc1/rack:1", ":"):
        refused = client.get("/api/v1/placement/loss", {"domain": typo})
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["domain"]), typo
    nobody = client.get("/api/v1/placement/loss?domain=rack:none").json()
    assert nobody["quorum_survives"] is True
    assert client.get("/api/v1/placement?cluster=other").status_code == 404


def test_the_api_changes_rules(client, admin_client, cluster):
    answer = send(admin_client, "/api/v1/role-rules/control-plane", {"spares": 2})
    assert (answer.status_code, answer.json()["spares"]) == (200, 2)
    assert client.get("/api/v1/role-rules").json()["control-plane"]["spares"] == 2
    for role, document in (
        ("node", {"spares": -1}),
        ("node", {"spares": "many"}),
        ("node", {"spares": 10**30}),
        ("node", {"selector": {"a": 1}}),
        ("node", {"x": 1}),
        ("node", {"count": {}}),
        ("etcd", {"spares": 1}),
    ):
        answer = send(admin_client, f"/api/v1/role-rules/{role}", document)
        assert answer.status_code == 400, document
        assert answer.json()["fields"]
    assert client.post("/api/v1/role-rules/node").status_code == 401


def test_an_overview_costs_a_constant_number_of_queries(
    cluster, client, django_assert_max_num_queries
):
    make_fleet(500)
    run_scheduler(cluster=cluster, now=LATER)
    with django_assert_max_num_queries(20):
        assert client.get("/api/v1/placement").json()["nodes"] == 497


def test_rules_are_added_changed_and_removed_in_the_console(admin_client, cluster):
    form = {
        "cluster": cluster.pk,
        "role": "node",
        "selector": '{"disk": "ssd"}',
        "min_disk_bytes": "0",
        "min_memory_bytes": "0",
        "min_cpu_count": "2",
        "count": "",
        "spares": "1",
    }
    page = reverse("admin:scheduling_rolerule_add")
    assert admin_client.post(page, form).status_code == 302
    rule = RoleRule.objects.get()
    assert (rule.selector, rule.min_cpu_count, rule.spares) == ({"disk": "ssd"}, 2, 1)
    page = reverse("admin:scheduling_rolerule_change", args=[rule.pk])
    assert admin_client.post(page, form | {"selector": "[]"}).status_code == 200
    assert admin_client.post(page, form | {"count": "5"}).status_code == 302
    assert RoleRule.objects.get().count == 5
    page = reverse("admin:scheduling_rolerule_delete", args=[rule.pk])
    assert admin_client.post(page, {"post": "yes"}).status_code == 302
    assert not RoleRule.objects.exists()


def test_the_console_shows_the_spread_on_the_clusters_page(admin_client, placed):
    page = reverse("admin:scheduling_cluster_change", args=[placed.pk])
    assert "spread 67 of 100 by rack" in admin_client.get(page).content.decode()
