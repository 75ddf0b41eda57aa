"""The operator's pages over intent."""

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from machines.models import Event
from machines.tests.factories import MachineConflictFactory, address_of, mac_of
from scheduling.models import Assignment, Cluster, Waiting
from scheduling.services import assign_roles, release_machine, run_scheduler
from scheduling.tests.factories import LATER, AssignmentFactory, WaitingFactory, make_machine

pytestmark = pytest.mark.django_db
FORM = {
    "control_plane_size": "3",
    "spread": "preferred",
    "spread_level": "chassis",
    "settle_seconds": "5",
    "is_scheduling_enabled": "on",
    "values_text": "",
}


def page(model, *arguments):
    kind = "change" if arguments else "changelist"
    return reverse(f"admin:scheduling_{model}_{kind}", args=arguments)


def act(client, model, action, *rows, **more):
    data = {"action": action, "_selected_action": [row.pk for row in rows], **more}
    return client.post(page(model), data, follow=True)


def test_lists_and_pages_are_shown_with_few_queries(
    admin_client, cluster, django_assert_max_num_queries
):
    for number in range(1, 30):
        AssignmentFactory.create(machine=make_machine(number))
        WaitingFactory.create(machine=make_machine(number + 100))
    for model, row in (
        ("cluster", cluster),
        ("assignment", Assignment.objects.all()[0]),
        ("waiting", Waiting.objects.all()[0]),
    ):
        with django_assert_max_num_queries(12):
            assert admin_client.get(page(model)).status_code == 200
        assert admin_client.get(page(model, row.pk)).status_code == 200


def test_a_machines_page_says_its_role_or_why_it_has_none(admin_client, cluster):
    with_role, without = make_machine(1), make_machine(2)
    AssignmentFactory.create(machine=with_role)
    run_scheduler(cluster=cluster, now=LATER)
    shown = admin_client.get(reverse("admin:machines_machine_change", args=[with_role.pk]))
    assert "kubernetes-node" in shown.content.decode()
    shown = admin_client.get(reverse("admin:machines_machine_change", args=[without.pk]))
    assert "control plane needs 3 machines, 1 available" in shown.content.decode()


def test_rules_and_values_are_changed_through_the_services(admin_client, cluster):
    form = FORM | {"control_plane_size": "5", "values_text": "pod_prefix: 25\n"}
    answer = admin_client.post(page("cluster", cluster.pk), form)
    assert answer.status_code == 302
    cluster.refresh_from_db()
    assert (cluster.control_plane_size, cluster.values) == (5, {"pod_prefix": 25})
    assert set(Event.objects.values_list("kind", "actor")) == {
        ("cluster_changed", "admin"),
        ("value_changed", "admin"),
    }
    assert "pod_prefix: 25" in admin_client.get(page("cluster", cluster.pk)).content.decode()
    admin_client.post(page("cluster", cluster.pk), FORM | {"control_plane_size": "5"})
    cluster.refresh_from_db()
    assert cluster.values == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"values_text": "pod_prefx: 25"}, "did you mean pod_prefix"),
        ({"values_text": "pod_prefix: many"}, "expected an integer"),
        ({"values_text": "vault_port: 6443"}, "kubernetes_apiserver_port"),
        ({"values_text": "a: ["}, "not YAML"),
        ({"control_plane_size": "4"}, "odd number"),
        ({"settle_seconds": "61"}, "less than or equal to 60"),
    ],
)
def test_what_is_wrong_stays_in_the_form_with_the_reason(admin_client, cluster, change, reason):
    answer = admin_client.post(page("cluster", cluster.pk), FORM | change)
    assert answer.status_code == 200
    assert reason in answer.content.decode()
    assert Cluster.objects.get().values == {}


def test_clusters_are_neither_added_nor_deleted(admin_client, cluster):
    assert admin_client.get(reverse("admin:scheduling_cluster_add")).status_code == 403
    url = reverse("admin:scheduling_cluster_delete", args=[cluster.pk])
    assert admin_client.post(url, {"post": "yes"}).status_code == 403


def test_roles_are_taken_away_with_a_reason(admin_client, cluster):
    assignment = assign_roles(machine=make_machine(1), roles=["kubernetes-node"], actor="ada")
    act(admin_client, "assignment", "release", assignment, reason="bad fan")
    assert not Assignment.objects.exists()
    assert Waiting.objects.get().reason == "released by admin: bad fan; waits for an operator"


def test_changed_facts_are_seen_and_approved(admin_client, cluster):
    assignment = assign_roles(machine=make_machine(1), roles=["kubernetes-node"], actor="ada")
    assignment.machine.interfaces.update(ipv4=address_of(9))
    MachineConflictFactory.create(machine=assignment.machine, kind="changed_address")
    assert "changed" in admin_client.get(page("assignment")).content.decode()
    act(admin_client, "assignment", "approve", assignment)
    assignment.refresh_from_db()
    assert assignment.ipv4 == address_of(9)


def test_a_failure_is_a_message_and_does_not_stop_the_others(admin_client, cluster):
    first, second = (
        assign_roles(machine=make_machine(n), roles=["kubernetes-node"], actor="ada")
        for n in (1, 2)
    )
    for assignment, change in ((first, None), (second, address_of(9))):
        assignment.machine.interfaces.update(ipv4=change)
    answer = act(admin_client, "assignment", "approve", first, second)
    assert "no usable address" in answer.content.decode()
    second.refresh_from_db()
    assert second.ipv4 == address_of(9)


def test_waiting_machines_are_assigned_or_readmitted(admin_client, cluster):
    node, plane, released = (make_machine(number) for number in (1, 2, 3))
    assign_roles(machine=released, roles=["kubernetes-node"], actor="ada")
    release_machine(machine=released, actor="ada", reason="x")
    rows = [WaitingFactory.create(machine=machine) for machine in (node, plane)]
    act(admin_client, "waiting", "make_node", rows[0])
    act(admin_client, "waiting", "make_control_plane", rows[1])
    act(admin_client, "waiting", "readmit", released.waiting)
    assert set(Assignment.objects.values_list("boot_mac", "profile")) == {
        (mac_of(1), "kubernetes-node"),
        (mac_of(2), "etcd-member-kubernetes-control-plane"),
    }
    assert not Waiting.objects.exists()


def test_who_may_only_look_can_do_nothing(client, cluster):
    user = User.objects.create_user("eve", password="x", is_staff=True)
    names = ["view_assignment", "view_waiting", "view_cluster"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    assignment = assign_roles(machine=make_machine(1), roles=["kubernetes-node"], actor="ada")
    waiting = WaitingFactory.create(machine=make_machine(2))
    act(client, "assignment", "release", assignment)
    act(client, "waiting", "make_node", waiting)
    client.post(page("cluster", cluster.pk), FORM | {"control_plane_size": "5"})
    assert Assignment.objects.count() == 1
    assert Cluster.objects.get().control_plane_size == 3
