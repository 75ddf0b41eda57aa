"""Topology files: what they may say, and what is said of those that are wrong."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.topology import DiskSpec, MachineSpec, Topology
from lab.topologyfile import TopologyInvalid, document_of, load, read
from lab.topologyrules import moved

FULL = """
name: site
driver: libvirt
control_plane: 3
network: 172.20.5.0/26
machines:
  - {name: m1, memory_mib: 2048, cpus: 2, rack: 7, disks: [{name: vda, size_gib: 20}]}
  - {name: m2, disks: [{name: sda, content: data}, {name: sdb, is_rotational: true}]}
  - {name: m-3}
values: {ntp: [a.lab.test]}
engine: {ENJOLIVER_INSTALL_CONCURRENCY: 3, ENJOLIVER_DISK_BOOT: true}
"""


def problems_of(document):
    with pytest.raises(TopologyInvalid) as caught:
        read(document)
    return caught.value.problems


def test_without_a_word_it_is_one_control_plane_and_one_node():
    topology = read({})
    assert topology == Topology()
    assert [machine.name for machine in topology.machines] == ["m1", "m2"]
    assert topology.control_plane == 1


def test_a_file_says_everything_of_a_lab(tmp_path):
    file = tmp_path / "lab.yaml"
    file.write_text(FULL)
    topology = load(file)
    assert topology.network == IPv4Network("172.20.5.0/26")
    assert topology.specs == (
        MachineSpec("m1", 2048, 2, "7", (DiskSpec("vda", 20),)),
        MachineSpec(
            "m2",
            disks=(DiskSpec("sda", content="data"), DiskSpec("sdb", is_rotational=True)),
        ),
        MachineSpec("m-3"),
    )
    assert topology.engine == {
        "ENJOLIVER_INSTALL_CONCURRENCY": "3",
        "ENJOLIVER_DISK_BOOT": "true",
    }
    assert str(topology.machines[0].address) == "172.20.5.10/26"


def test_words_of_the_command_line_go_over_the_file(tmp_path):
    file = tmp_path / "lab.yaml"
    file.write_text(FULL)
    assert load(file, name="other", driver="nspawn").name == "other"


def test_the_ledger_gives_the_same_topology_back(tmp_path):
    file = tmp_path / "lab.yaml"
    file.write_text(FULL)
    topology = load(file)
    assert read(document_of(topology)) == topology


def test_everything_that_is_wrong_is_said_at_once():
    found = problems_of(
        {
            "name": "My Lab",
            "driver": "vmware",
            "control_plane": 2,
            "network": "10.77.0.1/24",
            "colour": "blue",
            "machines": [
                {"name": "m1", "memory_mib": "much", "memory": 5},
                {"name": "m1", "cpus": True, "disks": [{"name": "sda"}, {"name": "sda"}]},
                {"rack": "A B", "disks": []},
                "m4",
            ],
        }
    )
    expected = (
        "name: is 'My Lab'",
        "driver: is 'vmware', expected one of: nspawn, libvirt",
        "control_plane: is 2, an odd number",
        "network: is '10.77.0.1/24': 10.77.0.1/24 has host bits set",
        "colour: is no field that is known",
        "machines[0].memory_mib: is 'much', a whole number from 256",
        "machines[0].memory: is no field",
        "machines[1].cpus: is True, a whole number",
        "machines[2].name: is missing",
        "machines[2].rack: is 'A B'",
        "machines[2].disks: is [], a list with one entry at least",
        "machines[3]: is 'm4', a mapping is expected",
    )
    for beginning in expected:
        assert any(problem.startswith(beginning) for problem in found), (beginning, found)
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"control_plane": 3}, "control_plane: is 3, and there are only 2 machines"),
        ({"network": "8.8.8.0/24"}, "network: 8.8.8.0/24 is no private network"),
        ({"network": "127.0.0.0/24"}, "network: 127.0.0.0/24 is no private network"),
        ({"network": "10.0.0.0/28", "machines": [{"name": f"m{n}"} for n in range(6)]}, "network:"),
        ({"network": "10.0.0.0/31"}, "network: 10.0.0.0/31 has room for 0 machines, not for 2"),
        ({"machines": [{"name": "a"}, {"name": "a"}]}, "machines: the name a stands there twice"),
        ({"machines": [{"name": "engine"}]}, "machines[0].name: engine means"),
        ({"machines": [{"name": "m" * 41}]}, "machines[0].name: has more than 40"),
        ({"machines": [{"name": "-m"}]}, "machines[0].name: is '-m', which does not match"),
        ({"machines": {}}, "machines: is {}, a list"),
        ({"values": [1]}, "values: is [1], a mapping"),
        ({"engine": {"PATH": "/"}}, "engine: has the key 'PATH'"),
        ({"name": "a-b"}, "name: is 'a-b', which does not match"),
        ({"machines": [{"name": "a", "disks": [{"name": "sda", "size_gib": 0}]}]}, "machines[0]."),
    ],
)
def test_a_contradiction_is_said_by_its_field(document, problem):
    found = problems_of(document)
    assert len(found) == 1
    assert found[0].startswith(problem)


@pytest.mark.parametrize("text", ["- a\n", "just words", "a: [1", "name: x\nname: y\n", "\x00"])
def test_what_is_no_mapping_in_yaml_is_refused_in_a_sentence(tmp_path, text):
    file = tmp_path / "lab.yaml"
    file.write_text(text)
    with pytest.raises(TopologyInvalid, match=r"lab\.yaml is no topology:\n"):
        load(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TopologyInvalid, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml")


YAML = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["name", "driver", "control_plane", "network", "machines", "values", "engine", "cpus", "disks"]
)


@given(st.dictionaries(KEYS, YAML | st.lists(st.dictionaries(KEYS, YAML), max_size=3)))
def test_no_document_is_more_than_refused(document):
    try:
        topology = read(document)
    except TopologyInvalid:
        return
    assert read(document_of(topology)) == topology


@given(st.integers(1, 300), st.integers(20, 30))
def test_machines_have_addresses_of_their_own_inside_the_network(count, prefix):
    document = {
        "network": f"10.9.0.0/{prefix}",
        "machines": [{"name": f"m{number}"} for number in range(count)],
    }
    try:
        topology = read(document)
    except TopologyInvalid:
        return
    addresses = {machine.address.ip for machine in topology.machines}
    assert len(addresses) == count
    assert all(address in topology.network for address in addresses)
    assert topology.network.broadcast_address not in addresses
    assert not {topology.engine_address, topology.switch_address} & addresses


def test_a_standing_lab_keeps_network_driver_and_places():
    before = Topology(specs=(MachineSpec("a"), MachineSpec("b"), MachineSpec("c")))
    assert moved(before, before, ["a", "b", "c"]) == []
    longer = Topology(specs=(*before.specs, MachineSpec("d")))
    assert moved(before, longer, ["a", "b", "c"]) == []
    other = Topology(
        driver="libvirt",
        network=IPv4Network("10.1.0.0/24"),
        specs=(MachineSpec("b"), MachineSpec("c", cpus=2)),
    )
    found = moved(before, other, ["a", "b"])
    assert [line.split(":")[0] for line in found] == ["driver", "network", "machines[0] (b)"]
    assert "its place was 2 and would be 1" in found[2]
