"""Facts: what programs and kernel files say, and whatever else they may say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.facts import boot, disks, document, hardware, interfaces, journal, lldp, names
from agent.facts.sources import Sources
from agent.tests.machines import DATA, GIB, MAC, UUID, FakeMachine

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["lldp", "interface", "chassis", "port", "id", "value", "name", "size"])
            | st.sampled_from(["blockdevices", "type", "children", "addr_info", "ifname", "dst"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def said(name):
    return (DATA / name).read_text()


def test_interfaces_of_a_machine_with_and_without_address():
    found = {one.name: one for one in interfaces.parse(said("ip-addr.json"))}
    assert found["lo"] == interfaces.Interface("lo", "", "127.0.0.1", 8)
    assert found["eth0"].cidr == "10.64.0.11/14"
    assert found["eth0"].mac == "d6:f5:08:8e:15:bb"
    assert found["eth1"].ipv4 == ""


def test_the_global_address_goes_before_others():
    info = [
        {"family": "inet", "local": "169.254.1.1", "prefixlen": 16, "scope": "link"},
        {"family": "inet", "local": "10.0.0.2", "prefixlen": 24, "scope": "global"},
    ]
    text = json.dumps([{"ifname": "eth0", "address": MAC, "addr_info": info}])
    assert interfaces.parse(text)[0].cidr == "10.0.0.2/24"


def test_default_routes_come_best_first_from_either_source():
    assert interfaces.parse_routes(said("ip-route.json")) == [("10.64.0.1", "eth0")]
    proc = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
        "eth1\t00000000\t0200000A\t0003\t0\t0\t100\t00000000\n"
        "eth0\t00000000\t0100400A\t0003\t0\t0\t0\t00000000\n"
        "eth0\t0000400A\t00000000\t0001\t0\t0\t0\t0000FCFF\n"
    )
    assert interfaces.parse_proc_routes(proc) == [("10.64.0.1", "eth0"), ("10.0.0.2", "eth1")]


@pytest.mark.parametrize(
    ("line", "mac"),
    [
        (f"quiet ignition.config.url=http://e/ignition-pxe?uuid={UUID}&mac=52-54-00-00-00-01", MAC),
        ("quiet BOOTIF=01-52-54-00-00-00-01 x=y", MAC),
        ("quiet", ""),
    ],
)
def test_the_boot_mac_is_told_by_the_kernels_arguments(line, mac):
    assert boot.parse_cmdline(line)[1] == mac


def test_a_told_mac_counts_only_where_an_interface_has_it():
    listed = [interfaces.Interface("eth0", "02:00:00:00:00:01", "10.0.0.1", 8)]
    assert boot.boot_mac(MAC, listed, [("10.0.0.254", "eth0")]) == "02:00:00:00:00:01"


@pytest.mark.parametrize("text", ["", "Not Settable", "0" * 8 + "-0000-0000-0000-" + "0" * 12])
def test_firmware_without_a_uuid_has_none(text):
    assert boot.parse_uuid(text) == ""


def test_vendors_placeholders_are_no_facts():
    assert hardware.parse_product("Dell Inc.", "PowerEdge R640") == "Dell Inc. PowerEdge R640"
    assert hardware.parse_product("To Be Filled By O.E.M.", "Default string") == ""
    assert hardware.parse_meminfo("MemTotal:  1024 kB\n") == 1 << 20
    assert hardware.parse_cpuinfo("processor\t: 0\n\nprocessor\t: 1\n") == 2


@pytest.mark.parametrize("form", ["lldp-one.json", "lldp-several.json", "lldp-json0.json"])
def test_every_form_of_lldpds_json_is_read(form):
    first = lldp.parse(said(form))[0]
    assert first == lldp.Neighbour("eth0", "28:f1:0e:00:00:00", "Ethernet1/7", "tor-rack-0")


def test_a_chassis_may_have_no_name_and_the_first_neighbour_counts():
    found = lldp.parse(said("lldp-several.json"))
    assert found[1:] == [lldp.Neighbour("eth1", "spare", "28:f1:0e:00:00:07", "")]
    assert lldp.parse(said("lldp-none.json")) == []


def test_disks_are_those_of_the_machine_with_what_is_on_them():
    found = {disk.path: disk for disk in disks.parse(said("lsblk-metal.json"))}
    assert list(found) == ["/dev/sda", "/dev/sdb", "/dev/sdc", "/dev/nvme0n1"]
    assert found["/dev/sda"].serial == "S1YHNXAG800001"
    assert found["/dev/sda"].content == ()
    assert found["/dev/sdb"].is_rotational
    assert found["/dev/sdb"].mounts == ("/var/lib/etcd",)
    assert "part sdb1 (LVM2_member)" in found["/dev/sdb"].content
    assert found["/dev/sdc"].is_removable
    assert found["/dev/sdc"].size_bytes == 15728640000


def test_a_disk_that_the_system_runs_from_is_mounted():
    assert [disk.mounts for disk in disks.parse(said("lsblk-virtual.json"))] == [("/",)]


def test_disks_of_a_laid_out_machine_come_from_its_own_files(tmp_path):
    machine = FakeMachine(tmp_path)
    machine.add_disk("sda", 40 * GIB, **{"device/model": "LAB", "device/serial": "X1"})
    machine.add_disk("loop0", GIB)
    found = disks.read(Sources(tmp_path, tmp_path))
    assert [(disk.path, disk.model, disk.serial) for disk in found] == [("/dev/sda", "LAB", "X1")]


def test_names_are_host_names_those_with_a_domain_first():
    assert names.parse(["srv1", "SRV1.example.", "localhost", "bad name", "srv1"]) == [
        "srv1.example",
        "srv1",
    ]


def test_the_journal_is_bounded():
    assert journal.parse("-- No entries --\n") == []
    assert len(journal.parse("a line\n" * 5000)) == journal.MAX_LINES


@given(_json.map(json.dumps) | st.text())
def test_no_output_of_a_program_breaks_a_parser(text):
    for parse in (interfaces.parse, interfaces.parse_routes, lldp.parse, disks.parse):
        assert isinstance(parse(text), list)
    assert isinstance(boot.parse_cmdline(text), tuple)
    assert isinstance(interfaces.parse_proc_routes(text), list)


def test_a_machine_without_identity_says_what_is_missing(tmp_path):
    machine = FakeMachine(tmp_path)
    machine.write("sys/class/dmi/id/product_uuid", "")
    with pytest.raises(document.NoIdentity, match="UUID"):
        document.collect(Sources(tmp_path, tmp_path))
