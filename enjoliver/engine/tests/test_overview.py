"""/ui/view/*: each row is right for its machine, and the fleet's size costs no query."""

from datetime import timedelta

import pytest
from django.utils import timezone

from enjoliver.common.times import rfc3339
from lifecycle.models import IgnitionReport
from lifecycle.tests.factories import StrategyFactory
from machines.models import Interface, Machine
from machines.states import State
from machines.tests.factories import InterfaceFactory, MachineFactory, UnknownBootFactory
from scheduling.models import Cluster
from scheduling.roles import RoleName
from scheduling.tests.factories import AssignmentFactory, make_fleet

pytestmark = pytest.mark.django_db
KEYS = {
    "MAC",
    "CIDR",
    "FQDN",
    "Roles",
    "DiskProfile",
    "LastState",
    "LastReport",
    "LastChange",
    "UpToDate",
    "UpdateStrategy",
}


def rows(client):
    answer = client.get("/ui/view/machine")
    assert answer.status_code == 200
    return answer.json()


def test_no_machine_is_an_empty_list(client):
    assert rows(client) == []


def test_a_machine_with_only_an_interface(client):
    machine = MachineFactory.create(disk=None, boot_interface__fqdn=None, state=State.BOOTING)
    (row,) = rows(client)
    assert row == {
        "MAC": machine.boot_mac,
        "CIDR": machine.interfaces.get().cidrv4,
        "FQDN": None,
        "Roles": "",
        "DiskProfile": "inMemory",
        "LastState": "booting",
        "LastReport": None,
        "LastChange": None,
        "UpToDate": None,
        "UpdateStrategy": "Disable",
    }


def test_a_small_disk_is_s_and_disks_add_up(client):
    MachineFactory(disk__size_bytes=1 << 30)
    many = MachineFactory.create(disk__size_bytes=15 << 30)
    many.disks.create(path="/dev/second", size_bytes=15 << 30)
    assert [row["DiskProfile"] for row in rows(client)] == ["S", "L"]


def test_a_clusters_own_ladder_counts_for_its_machines(client):
    Cluster.objects.filter(name="default").update(values={"disk_ladder": ["TINY=100"]})
    MachineFactory()
    assert rows(client)[0]["DiskProfile"] == "TINY"


def test_roles_come_in_the_order_given(client):
    AssignmentFactory(
        profile="etcd-member-kubernetes-control-plane",
        roles=[RoleName.CONTROL_PLANE, RoleName.ETCD_MEMBER],
    )
    assert rows(client)[0]["Roles"] == "kubernetes-control-plane,etcd-member"


def test_every_row_is_that_of_its_own_machine(client):
    now = timezone.now()
    first = MachineFactory.create(state=State.RUNNING)
    second = MachineFactory.create(state=State.INSTALL_FAILED)
    third = MachineFactory.create(boot_interface=None, state=State.BOOTING)
    InterfaceFactory(machine=first, name="second")
    IgnitionReport.objects.create(
        machine=first, is_up_to_date=True, reported_at=now, created_at=now, last_change_at=None
    )
    IgnitionReport.objects.create(
        machine=second, is_up_to_date=False, reported_at=now, created_at=now, last_change_at=now
    )
    StrategyFactory(machine=first, strategy="reboot")
    StrategyFactory(machine=second, strategy="kexec", is_enabled=False)
    shown = rows(client)
    assert [row["MAC"] for row in shown] == [first.boot_mac, second.boot_mac, third.boot_mac]
    assert [row["LastState"] for row in shown] == ["running", "installation_failed", "booting"]
    assert [row["UpToDate"] for row in shown] == [True, False, None]
    assert [row["LastChange"] for row in shown] == [None, rfc3339(now), None]
    assert [row["UpdateStrategy"] for row in shown] == ["reboot", "Disable", "Disable"]
    assert shown[2]["CIDR"] is None
    assert shown[0]["CIDR"] == first.interfaces.get(is_boot=True).cidrv4
    assert all(set(row) == KEYS for row in shown)


@pytest.mark.parametrize("count", [1, 300])
def test_the_number_of_queries_is_the_same_for_any_fleet(client, django_assert_num_queries, count):
    make_fleet(count)
    AssignmentFactory(machine=Machine.objects.first())
    with django_assert_num_queries(5):
        assert len(rows(client)) == count
    with django_assert_num_queries(3):
        client.get("/ui/view/states?data_since_last_min=99999999")


# --- states --------------------------------------------------------------------------------------
def states(client, query=""):
    answer = client.get(f"/ui/view/states{query}")
    assert answer.status_code == 200
    return answer.json()


def at(minutes_ago, **values):
    return MachineFactory.create(state_at=timezone.now() - timedelta(minutes=minutes_ago), **values)


def test_states_are_the_newest_first_and_half_an_hour_back(client):
    old, new, newer = at(31), at(20), at(1, state=State.RUNNING)
    assert [row["mac"] for row in states(client)] == [newer.boot_mac, new.boot_mac]
    assert [row["mac"] for row in states(client, "?data_since_last_min=")] == [
        newer.boot_mac,
        new.boot_mac,
    ]
    assert len(states(client, "?data_since_last_min=60")) == 3
    assert states(client)[0] == {
        "mac": newer.boot_mac,
        "fqdn": Interface.objects.get(machine=newer, is_boot=True).fqdn,
        "state": "running",
        "date": rfc3339(newer.state_at),
    }
    assert old.boot_mac


def test_an_unknown_mac_that_boots_is_shown_without_a_name(client):
    boot = UnknownBootFactory(last_at=timezone.now())
    assert states(client) == [
        {"mac": boot.mac, "fqdn": None, "state": "booting", "date": rfc3339(boot.last_at)}
    ]


@pytest.mark.parametrize("minutes", ["0", "-1", "-99999999999999999999"])
def test_no_minutes_back_is_an_empty_list(client, minutes):
    at(0)
    assert states(client, f"?data_since_last_min={minutes}") == []


def test_any_number_of_minutes_is_an_answer(client):
    at(1)
    assert len(states(client, "?data_since_last_min=" + "9" * 400)) == 1


@pytest.mark.parametrize(
    "minutes", ["abc", "1.5", "1e3", "0x10", "1" * 5000, "--1", "%F0%9F%90%A7"]
)
def test_what_is_no_number_of_minutes_is_400_with_the_field(client, minutes):
    answer = client.get(f"/ui/view/states?data_since_last_min={minutes}")
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == ["data_since_last_min"]
