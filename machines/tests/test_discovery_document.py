"""The parser: every line of the reference's table of bad input, and arbitrary documents."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enjoliver.common.errors import NotAcceptable
from machines import discovery
from machines.discovery import USAGE, parse_report
from machines.report import as_document
from machines.tests.factories import document, mac_of, uuid_of

BAD_TEXTS = ["a\x00b", "a\nb", "\ud800", "\x7f"]


def changed(path: str, value: Any) -> dict[str, Any]:
    """A valid document with `value` at the dotted `path`; `...` deletes the key."""
    whole = document()
    target: Any = whole
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        target = target[part]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return whole


def refusal(whole: Any) -> NotAcceptable:
    with pytest.raises(NotAcceptable) as caught:
        parse_report(whole)
    return caught.value


def test_a_whole_document_becomes_facts():
    report = parse_report(document(7))
    assert (report.uuid, report.boot_mac, report.boot_id) == (uuid_of(7), mac_of(7), uuid_of(-7))
    (eth0,) = report.interfaces
    assert (eth0.name, eth0.ipv4, eth0.netmask) == ("eth0", "10.64.0.7", 14)
    assert eth0.cidrv4 == "10.64.0.7/14"
    assert eth0.gateway == "10.64.0.1"
    assert (eth0.fqdn, eth0.is_boot) == ("r3-srv7.dc1.example.test", True)
    assert [(disk.path, disk.size_bytes) for disk in report.disks] == [("/dev/sda", 21474836480)]
    (link,) = report.lldp
    assert (link.interface, link.chassis_id, link.port_id) == (
        "eth0",
        "28:f1:0e:00:00:03",
        "Ethernet1/7",
    )
    assert report.journal == ("reading the configuration", "files: op(1): [finished]")
    assert "ignition-journal" not in report.facts


@pytest.mark.parametrize("whole", [[], None, 3, "ok", True, 1.5, {}, [{}]])
def test_what_is_no_document_is_unreadable(whole):
    error = refusal(whole)
    assert error.status_code == 406
    assert error.kind == "unreadable_report"
    assert USAGE.items() <= error.as_json().items()


@pytest.mark.parametrize("key", ["boot-info", "interfaces", "disks", "lldp"])
def test_a_missing_part_is_named(key):
    assert refusal(changed(key, ...)).fields == {key: "required"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("boot-info", None),
        ("boot-info", []),
        ("interfaces", None),
        ("interfaces", {}),
        ("disks", {}),
        ("disks", "sda"),
        ("disks", 0),
        ("lldp", None),
        ("lldp", []),
    ],
)
def test_a_part_of_the_wrong_form_is_named(key, value):
    error = refusal(changed(key, value))
    assert list(error.fields) == [key]
    assert USAGE.items() <= error.as_json().items()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("disks", None),
        ("ignition-journal", ...),
        ("ignition-journal", None),
        ("something-new", {"deep": [1, None, "x"]}),
        ("lldp", {"is_file": False, "data": {"interfaces": None}}),
        ("lldp", {"is_file": False}),
        ("lldp", {"is_file": True, "data": {"interfaces": []}}),
        ("boot-info.random-id", ...),
        ("boot-info.random-id", None),
        ("interfaces.1.fqdn", ...),
        ("interfaces.1.fqdn", None),
        ("interfaces.1.fqdn", ""),
        ("interfaces.1.fqdn", []),
        ("interfaces.1.fqdn", [None]),
        ("interfaces.1.fqdn", ["a b", "no_problem.example.test"]),
        ("interfaces.1.gateway", None),
        ("interfaces.1.gateway", ""),
        ("interfaces.1.cidrv4", "10.64.0.1"),
        ("interfaces.1.cidrv4", None),
        ("interfaces.1.netmask", None),
        ("interfaces.0", {"name": "lo", "mac": ""}),
        ("interfaces.0.mac", "00:00:00:00:00:00"),
        ("lldp.data.interfaces.0.chassis.id", "local-7"),
        ("lldp.data.interfaces.0.chassis.name", ...),
        ("hardware", None),
        ("hardware", {"serial": "X1", "product": "B", "cpu-count": 8, "memory-bytes": 2**36}),
        ("disks.0.rotational", True),
        ("disks.0.model", "QEMU HARDDISK"),
    ],
)
def test_what_is_tolerated(path, value):
    parse_report(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("boot-info.uuid", ...),
        ("boot-info.uuid", ""),
        ("boot-info.uuid", "not-a-uuid"),
        ("boot-info.uuid", "652812fc19d95a64aa5307f18badd780"),
        ("boot-info.uuid", 7),
        ("boot-info.mac", ...),
        ("boot-info.mac", ""),
        ("boot-info.mac", "52:54:00:00:00"),
        ("boot-info.mac", "00:00:00:00:00:00"),
        ("boot-info.mac", "52:54:00:99:99:99"),
        ("boot-info.random-id", 7),
        ("boot-info.random-id", "x" * 65),
        ("interfaces.1", "eth0"),
        ("interfaces.1.name", ...),
        ("interfaces.1.name", ""),
        ("interfaces.1.name", "x" * 65),
        ("interfaces.1.name", "eth 0"),
        ("interfaces.1.name", "eth/0"),
        ("interfaces.1.mac", ...),
        ("interfaces.1.mac", None),
        ("interfaces.1.mac", "x"),
        ("interfaces.1.mac", "52:54:00:00:00:01:02"),
        ("interfaces.1.ipv4", ...),
        ("interfaces.1.ipv4", "10.64.0"),
        ("interfaces.1.ipv4", "::1"),
        ("interfaces.1.ipv4", 10),
        ("interfaces.1.ipv4", None),
        ("interfaces.1.cidrv4", ...),
        ("interfaces.1.cidrv4", "10.64.0.1/15"),
        ("interfaces.1.cidrv4", "10.64.0.2/14"),
        ("interfaces.1.cidrv4", "10.64.0.1/99"),
        ("interfaces.1.cidrv4", "10.64.0.1/"),
        ("interfaces.1.cidrv4", "10.64.0.1/\u0661\u0664"),
        ("interfaces.1.netmask", ...),
        ("interfaces.1.netmask", "abc"),
        ("interfaces.1.netmask", "14"),
        ("interfaces.1.netmask", True),
        ("interfaces.1.netmask", 14.0),
        ("interfaces.1.netmask", 33),
        ("interfaces.1.netmask", -1),
        ("interfaces.1.netmask", 10**400),
        ("interfaces.1.gateway", ...),
        ("interfaces.1.gateway", "x"),
        ("interfaces.1.gateway", 1),
        ("interfaces.1.fqdn", ["x" * 64 + ".example.test"]),
        ("interfaces.1.fqdn", ".".join(["x" * 60] * 5)),
        ("interfaces.1.fqdn", [" "]),
        ("interfaces.1.fqdn", [7]),
        ("interfaces.1.fqdn", {"name": "a"}),
        ("interfaces.1.fqdn", False),
        ("interfaces.1.fqdn", ["a.example.test"] * 33),
        ("disks.0", None),
        ("disks.0.path", ...),
        ("disks.0.path", ""),
        ("disks.0.path", "/" * 256),
        ("disks.0.size-bytes", ...),
        ("disks.0.size-bytes", "7"),
        ("disks.0.size-bytes", True),
        ("disks.0.size-bytes", -1),
        ("disks.0.size-bytes", 2**63),
        ("disks.0.size-bytes", 1.5),
        ("disks.0.rotational", "yes"),
        ("disks.0.model", 7),
        ("lldp.is_file", ...),
        ("lldp.is_file", "yes"),
        ("lldp.data", ...),
        ("lldp.data", []),
        ("lldp.data.interfaces", ...),
        ("lldp.data.interfaces", {}),
        ("lldp.data.interfaces.0", 7),
        ("lldp.data.interfaces.0.name", "eth9"),
        ("lldp.data.interfaces.0.name", ...),
        ("lldp.data.interfaces.0.chassis", ...),
        ("lldp.data.interfaces.0.chassis.id", ...),
        ("lldp.data.interfaces.0.chassis.id", 7),
        ("lldp.data.interfaces.0.port", None),
        ("lldp.data.interfaces.0.port.id", ""),
        ("hardware", []),
        ("hardware.serial", 7),
        ("hardware.cpu-count", "8"),
        ("hardware.memory-bytes", 2**63),
        ("ignition-journal", "text"),
        ("ignition-journal.0", 7),
    ],
)
def test_a_fault_is_named_by_its_path(path, value):
    if path.startswith("hardware."):
        whole = document() | {"hardware": {path.partition(".")[2]: value}}
    else:
        whole = changed(path, value)
    error = refusal(whole)
    assert error.status_code == 406
    assert USAGE.items() <= error.as_json().items()
    named = path.replace(".0", "[0]").replace(".1", "[1]")
    assert any(field.startswith(named) or field in BLAMED.get(named, ()) for field in error.fields)


BLAMED = {
    # Two values contradict each other: the fault is named at one of them.
    "interfaces[1].ipv4": ("interfaces[1].cidrv4",),
    "interfaces[1].mac": ("boot-info.mac",),
}


@pytest.mark.parametrize("text", BAD_TEXTS)
@pytest.mark.parametrize(
    "path",
    [
        "boot-info.uuid",
        "boot-info.mac",
        "boot-info.random-id",
        "interfaces.1.name",
        "interfaces.1.mac",
        "interfaces.1.ipv4",
        "interfaces.1.cidrv4",
        "interfaces.1.gateway",
        "interfaces.1.fqdn.0",
        "disks.0.path",
        "lldp.data.interfaces.0.chassis.id",
        "lldp.data.interfaces.0.port.id",
    ],
)
def test_control_characters_and_surrogates_are_refused_in_every_known_text(path, text):
    assert refusal(changed(path, text)).fields


def test_all_faults_are_told_at_once():
    whole = changed("interfaces.1.mac", "x")
    whole["disks"][0]["size-bytes"] = "big"
    whole["boot-info"]["uuid"] = "?"
    assert refusal(whole).fields.keys() >= {
        "interfaces[1].mac",
        "disks[0].size-bytes",
        "boot-info.uuid",
    }


def test_the_number_of_told_faults_is_bounded():
    assert len(refusal(changed("disks", [{}] * 1000)).fields) <= 100


@pytest.mark.parametrize("part", ["interfaces", "disks"])
def test_a_name_listed_twice_is_refused(part):
    whole = document()
    whole[part].append(copy.deepcopy(whole[part][-1]))
    assert refusal(whole).fields


@pytest.mark.parametrize(
    "spelling", ["52-54-00-00-00-01", "5254.0000.0001", "525400000001", "52:54:00:00:00:01"]
)
@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_any_common_spelling_of_a_mac_is_one_mac(spelling, change):
    whole = changed("boot-info.mac", change(spelling))
    assert parse_report(whole).boot_mac == mac_of(1)
    whole = changed("interfaces.1.mac", change(spelling))
    assert parse_report(whole).interfaces[0].is_boot


def test_an_upper_case_uuid_is_the_same_machine():
    assert parse_report(changed("boot-info.uuid", uuid_of(1).upper())).uuid == uuid_of(1)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["Srv1.Example.Test."], "srv1.example.test"),
        ("srv1.example.test", "srv1.example.test"),
        (["no name", "b.example.test", "c.example.test"], "b.example.test"),
        (["-x.example.test"], None),
        (["a..b"], None),
        (["."], None),
    ],
)
def test_the_first_usable_name_counts(sent, kept):
    assert parse_report(changed("interfaces.1.fqdn", sent)).interfaces[0].fqdn == kept


def test_an_interface_without_address_has_none():
    whole = document()
    bare = {"name": "eth1", "mac": mac_of(900), "netmask": None, "gateway": "10.64.0.1"}
    whole["interfaces"].append(bare | {"ipv4": None, "cidrv4": None})
    eth1 = parse_report(whole).interfaces[1]
    assert (eth1.ipv4, eth1.cidrv4, eth1.netmask, eth1.gateway) == (None, "", None, "10.64.0.1")


def test_the_old_client_may_repeat_an_address_and_give_the_gateway_to_all():
    whole = document()
    whole["interfaces"].append(whole["interfaces"][1] | {"name": "eth1", "mac": mac_of(900)})
    assert [one.is_boot for one in parse_report(whole).interfaces] == [True, False]


def test_of_a_bond_and_its_members_the_one_with_the_address_is_the_boot_interface():
    whole = document()
    eth0 = whole["interfaces"][1]
    member = eth0 | {"ipv4": None, "cidrv4": None, "netmask": None}
    whole["interfaces"] = [member, eth0 | {"name": "bond0"}]
    assert [one.name for one in parse_report(whole).interfaces if one.is_boot] == ["bond0"]


def test_of_several_lldp_neighbours_the_first_counts():
    whole = document()
    links = whole["lldp"]["data"]["interfaces"]
    links.append(links[0] | {"port": {"id": "another"}})
    assert [link.port_id for link in parse_report(whole).lldp] == ["Ethernet1/1"]


def test_mac_like_chassis_ids_have_one_spelling_and_others_stay():
    def chassis(text: str) -> str:
        return parse_report(changed("lldp.data.interfaces.0.chassis.id", text)).lldp[0].chassis_id

    assert chassis("28F1.0E00.00AA") == chassis("28-f1-0e-00-00-aa") == "28:f1:0e:00:00:aa"
    assert chassis("Local 7") == "Local 7"


def test_the_digest_ignores_the_boot_and_the_journal_only():
    base = parse_report(document()).digest
    assert parse_report(changed("boot-info.random-id", "other")).digest == base
    assert parse_report(changed("ignition-journal", ["other"])).digest == base
    assert parse_report(changed("disks", [])).digest != base
    assert parse_report(changed("new-key", 1)).digest != base


def test_a_long_journal_loses_its_oldest_lines_and_says_so(monkeypatch):
    monkeypatch.setattr(discovery, "MAX_JOURNAL_LINES", 3)
    lines = [f"line {number}" for number in range(5)]
    kept = parse_report(changed("ignition-journal", lines)).journal
    assert kept == ("(2 earlier lines were cut)", "line 2", "line 3", "line 4")


def test_a_big_journal_is_cut_to_its_bytes(monkeypatch):
    monkeypatch.setattr(discovery, "MAX_JOURNAL_BYTES", 10)
    kept = parse_report(changed("ignition-journal", ["é" * 3, "abc"])).journal
    assert kept == ("(1 earlier lines were cut)", "abc")


def test_unknown_keys_are_kept_as_databases_can_store_them():
    whole = document() | {"x": {"a\0": ["\ud800", float("inf"), 10**5000, True, None, 1.5]}}
    kept = parse_report(whole).facts["x"]["a\ufffd"]
    assert kept[0] == "\ufffd"
    assert kept[1] == "inf"
    assert kept[2] == hex(10**5000)
    assert kept[3:] == [True, None, 1.5]


def test_too_large_unknown_keys_are_not_kept_but_the_machine_is(monkeypatch):
    monkeypatch.setattr(discovery, "MAX_FACTS_BYTES", 4000)
    report = parse_report(document() | {"x": "y" * 5000})
    assert "x" not in report.facts
    assert parse_report(report.facts).interfaces == report.interfaces


def test_a_document_nested_too_deep_is_refused():
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    assert "nested" in refusal(document() | {"x": deep}).value


def test_known_facts_written_as_a_document_read_back_the_same():
    report = parse_report(
        document() | {"hardware": {"serial": "S", "product": "P", "cpu-count": 2}}
    )
    again = parse_report(as_document(report))
    for part in ("uuid", "boot_mac", "boot_id", "interfaces", "disks", "lldp", "hardware"):
        assert getattr(again, part) == getattr(report, part)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_arbitrary_json_is_refused_and_nothing_else_happens(value):
    with pytest.raises(NotAcceptable):
        parse_report(value)


@st.composite
def damaged_documents(draw: st.DrawFn) -> Any:
    """A valid document in which some values are replaced by arbitrary ones, or taken away."""
    whole = document(draw(st.integers(1, 200)))
    for _ in range(draw(st.integers(1, 3))):
        node: Any = whole
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(node[key], (dict, list)) and draw(st.booleans()):
                node = node[key]
                continue
            if draw(st.booleans()):
                node[key] = draw(json_values)
            else:
                del node[key]
            break
    return whole


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(damaged_documents())
def test_a_damaged_document_is_read_or_refused(whole):
    try:
        report = parse_report(whole)
    except NotAcceptable as error:
        json.dumps(error.as_json(), ensure_ascii=False).encode()
    else:
        json.dumps(report.facts, allow_nan=False, ensure_ascii=False).encode()
        assert "\0" not in repr(report)
