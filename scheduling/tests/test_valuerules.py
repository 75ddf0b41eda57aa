"""Rules between cluster values."""

import pytest

from enjoliver.common.errors import InvalidInput
from scheduling.valuerules import Fleet, check_together
from scheduling.values import merge_values

EMPTY = Fleet()


def problems(fleet=EMPTY, **overrides):
    with pytest.raises(InvalidInput) as caught:
        check_together(merge_values(overrides), fleet)
    assert caught.value.status_code == 409
    return caught.value.fields


def test_the_defaults_agree_with_each_other():
    check_together(merge_values({}), Fleet())


def test_two_parts_cannot_have_one_port():
    assert problems(vault_port=6443) == {
        "vault_port": "6443 is that of kubernetes_apiserver_port as well"
    }


def test_two_etcd_clusters_cannot_have_one_directory():
    assert set(problems(vault_etcd_data_dir="/var/lib/etcd3/kubernetes")) == {"vault_etcd_data_dir"}


def test_the_ranges_cannot_overlap():
    found = problems(pod_network="172.16.0.0/12")
    assert "overlaps" in found["kubernetes_service_cluster_ip_range"]
    assert "pod_network" in found["perennial_local_host_ip"]


def test_a_range_cannot_hold_a_machine():
    fleet = Fleet(addresses=["192.168.0.7", "10.64.0.1"])
    assert "10.64.0.1" in problems(fleet, pod_network="10.0.0.0/8")["pod_network"]


def test_the_local_address_is_no_machines():
    fleet = Fleet(addresses=["192.168.0.7"])
    assert set(problems(fleet, perennial_local_host_ip="192.168.0.7")) == {
        "perennial_local_host_ip"
    }


def test_the_pod_network_has_room_for_the_machines_that_are_there():
    assert (
        "number 300"
        in problems(Fleet(highest_pod_index=300), pod_network="10.0.0.0/16")["pod_network"]
    )
    check_together(merge_values({"pod_network": "10.0.0.0/16"}), Fleet(highest_pod_index=255))


def test_a_part_fits_into_the_network():
    assert set(problems(pod_network="10.0.0.0/24", pod_prefix=16)) == {"pod_prefix"}


def test_an_agent_needs_its_digest():
    assert set(problems(agent_url="http://x.example/agent")) == {"agent_sha512"}
    check_together(
        merge_values({"agent_url": "http://x.example/a", "agent_sha512": "0" * 128}), Fleet()
    )
