"""Metadata: the arithmetic, the rules for leaves, and matchbox's own text of it."""

import ipaddress
import json
import re
import socket
from urllib.parse import quote

import pytest
from django.conf import settings as django_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from matchbox_sync.metadata import (
    ETCD_CLUSTERS,
    MEMBERSHIP_KEYS,
    EngineFacts,
    MachineFacts,
    Member,
    discovery_metadata,
    disk_profile,
    membership_metadata,
    metadata_text,
    pod_network,
    render_metadata,
)
from matchbox_sync.metadatatext import go_upper, parse_mac
from matchbox_sync.scratch import ScratchProcess
from matchbox_sync.tests.samples import ENGINE, VALUES, machine, metadata_of

MEMBERS = [Member(f"cp-{n}.example.org", f"10.0.0.{n}") for n in (11, 9, 10)]


def leaves(tree, path=""):
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{path}.{key}")
    else:
        yield path, tree


# --- of a machine -------------------------------------------------------------------------------


def test_a_machine_has_its_names_addresses_and_own_urls():
    found = metadata_of(machine(7))
    assert found["hostname"] == "r3-srv7"
    assert found["fqdn"] == "r3-srv7.dc1.example.org"
    assert found["dns_attr"] == {
        "dc": "dc1",
        "domain": "dc1.example.org",
        "pos": "7",
        "rack": "3",
        "shortname": "r3-srv7",
    }
    assert found["network"] == {
        "cidrv4": "10.0.0.7/16",
        "dhcp": "no",
        "gateway": "10.0.255.254",
        "interface": "eth0",
        "ip": "10.0.0.7",
        "ip_or_fqdn": "10.0.0.7",
        "perennial_host_ip": "172.31.255.255",
        "subnet": "10.0.0.0/16",
    }
    assert found["etcd_name"] == "10.0.0.7"
    assert found["kubernetes_etcd_advertise_client_urls"] == "https://10.0.0.7:4003"
    assert found["vault_etcd_initial_advertise_peer_urls"] == "https://10.0.0.7:7002"
    assert found["fleet_etcd_client_port"] == "4001"
    assert found["roles"] == "kubernetes-node"
    assert found["boot_mac"] == "52:54:00:00:00:07"


def test_the_cni_part_is_the_machines_own_network():
    found = json.loads(metadata_of(machine(300))["cni"])
    assert found == {
        "type": "host-local",
        "dataDir": "/var/lib/cni/networks",
        "subnet": "100.65.44.0/24",
        "rangeStart": "100.65.44.2",
        "rangeEnd": "100.65.44.254",
        "gateway": "100.65.44.1",
        "routes": [{"dst": "172.31.255.255/32"}, {"dst": "0.0.0.0/0"}],
    }


@pytest.mark.parametrize("fqdn", ["", "bad name", "-x.example", "a" * 64, 'x";reboot', "x\n"])
def test_a_name_that_is_no_host_name_counts_as_none(fqdn):
    found = metadata_of(machine(7, fqdn=fqdn))
    assert found["hostname"] == found["fqdn"] == "no-10-0-0-7"
    assert found["kubernetes_node_name"] == "10.0.0.7"
    assert set(found["dns_attr"].values()) == {""}


def test_a_machine_without_a_pinned_address_uses_dhcp():
    found = metadata_of(machine(7, ipv4="", prefix=0, gateway="", fqdn=""))
    assert found["network"]["dhcp"] == "ipv4"
    assert found["network"]["cidrv4"] == found["network"]["gateway"] == ""
    assert found["hostname"] == "no-52-54-00-00-00-07"


def test_host_names_are_lower_case():
    assert metadata_of(machine(7, fqdn="SRV7.Example.ORG"))["fqdn"] == "srv7.example.org"


@pytest.mark.parametrize(
    ("gib", "step"), [(0, "inMemory"), (9.07, "S"), (10, "M"), (29, "L"), (30, "L"), (4000, "L")]
)
def test_disk_steps_are_exclusive_upper_limits(gib, step):
    assert disk_profile(int(gib * (1 << 30)), ["S=10", "M=20", "L=30"]) == step


@given(
    st.sampled_from(["100.64.0.0/10", "10.0.0.0/8", "10.1.0.0/16"]),
    st.integers(16, 28),
    st.sets(st.integers(0, 20000), min_size=2, max_size=6),
)
def test_pod_networks_never_overlap_and_stay_inside(network, prefix, indexes):
    parts = [pod_network(network, prefix, index) for index in indexes]
    whole = ipaddress.IPv4Network(network)
    given_out = [part for part in parts if part is not None]
    assert all(part.subnet_of(whole) for part in given_out)
    for number, part in enumerate(given_out):
        assert not any(part.overlaps(other) for other in given_out[:number])


def test_pod_networks_are_used_up_to_the_last_one():
    assert str(pod_network("100.64.0.0/10", 24, 16383)) == "100.127.255.0/24"
    assert pod_network("100.64.0.0/10", 24, 16384) is None
    assert pod_network("10.0.0.0/24", 16, 0) is None
    found = metadata_of(machine(7, pod_index=16384))
    assert found["cni"] == found["pod"]["cidr"] == ""


facts = st.builds(
    MachineFacts,
    uuid=st.uuids().map(str),
    mac=st.just("52:54:00:00:00:01"),
    interface_name=st.text(),
    ipv4=st.just("") | st.ip_addresses(v=4).map(str),
    prefix=st.integers(0, 32),
    gateway=st.just("") | st.ip_addresses(v=4).map(str),
    fqdn=st.text() | st.just("r1-srv1.example.org"),
    pod_index=st.integers(0, 1 << 30),
    failure_domain=st.text(st.characters()),
    disk_bytes=st.integers(0, 1 << 60),
    roles=st.just(("kubernetes-node",)),
    profile=st.just("kubernetes-node"),
)


@given(facts)
def test_whatever_a_machine_reports_the_keys_are_there_and_leaves_are_plain(odd):
    found = render_metadata(machine=odd, cluster_name="default", values=VALUES, engine=ENGINE)
    expected = dict(leaves(metadata_of(machine(1))))
    assert {path for path, _ in leaves(found)} == set(expected)
    for path, leaf in leaves(found):
        texts = leaf if isinstance(leaf, list) else [leaf]
        for text in texts:
            assert isinstance(text, str), path
            assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text), path
            text.encode()


def test_no_key_is_reserved_and_lists_are_for_readers_of_the_group_only():
    for found in (metadata_of(machine(1)), discovery_metadata(values=VALUES, engine=ENGINE)):
        assert not found.keys() & {"mac", "os", "request"}
        lists = {path for path, leaf in leaves(found) if isinstance(leaf, list)}
        assert lists == {".etc_hosts", ".ssh_authorized_keys"}


# --- membership ---------------------------------------------------------------------------------


def test_membership_has_exactly_its_keys_and_no_machine_metadata_has_one_of_them():
    found = membership_metadata(members=MEMBERS, values=VALUES)
    assert found.keys() == MEMBERSHIP_KEYS
    assert not metadata_of(machine(1)).keys() & MEMBERSHIP_KEYS
    assert not discovery_metadata(values=VALUES, engine=ENGINE).keys() & MEMBERSHIP_KEYS


def test_membership_names_each_member_once_in_each_list():
    found = membership_metadata(members=MEMBERS, values=VALUES)
    assert found["vault_ip_list"] == "10.0.0.11,10.0.0.9,10.0.0.10"
    assert found["kubernetes_apiserver_count"] == "3"
    assert found["kubernetes_apiserver_uri_list"].startswith("https://10.0.0.11:6443,https://")
    assert found["vault_etcd_initial_cluster"].split(",")[1] == "10.0.0.9=https://10.0.0.9:7002"
    assert found["fleet_etcd_member_client_uri_list"].split(",")[2] == "https://10.0.0.10:4001"
    for name in ETCD_CLUSTERS:
        assert len(found[f"{name}_etcd_member_peer_uri_list"].split(",")) == 3


def test_membership_of_nobody_is_empty_text():
    found = membership_metadata(members=[], values=VALUES)
    assert set(found.values()) == {"", "0"}


def test_discovery_knows_where_to_install_from():
    found = discovery_metadata(values=VALUES, engine=ENGINE)
    assert found["install_base_url"] == "http://10.0.0.1:5000/assets"
    assert found["api_uri"] == ENGINE.api_uri
    assert found["ssh_authorized_keys"] == list(ENGINE.ssh_keys)


def test_keys_of_the_engine_come_without_control_characters():
    engine = EngineFacts(ENGINE.api_uri, ("ssh-rsa A\x1b[2J b",))
    found = discovery_metadata(values=VALUES, engine=engine)
    assert found["ssh_authorized_keys"] == ["ssh-rsa A [2J b"]


# --- matchbox's text ----------------------------------------------------------------------------


def test_nested_keys_are_joined_lists_dropped_and_selectors_win():
    text = metadata_text(
        {"a": {"b": "1", "c": {"d": "x=y"}}, "l": ["x"], "os": "no", "t": True, "n": None},
        selector={"mac": "52:54:00:00:00:01", "OS": "installed"},
        raw_query="mac=52-54-00-00-00-01&os=installed",
    )
    assert text.splitlines() == [
        "A_B=1",
        "A_C_D=x=y",
        "MAC=52:54:00:00:00:01",
        "OS=installed",
        "REQUEST_QUERY_MAC=52:54:00:00:00:01",
        "REQUEST_QUERY_OS=installed",
        "REQUEST_RAW_QUERY=mac=52-54-00-00-00-01&os=installed",
        "T=true",
    ]


def test_a_number_is_no_leaf():
    with pytest.raises(TypeError, match="a leaf is text or a boolean"):
        metadata_text({"a": {"b": 1}}, selector={}, raw_query="")


def test_a_caller_may_have_read_the_query_itself():
    text = metadata_text({}, selector={}, raw_query="x", params={"mac": "bad", "A": "b"})
    assert text == "REQUEST_QUERY_A=b\nREQUEST_RAW_QUERY=x\n"


@pytest.mark.parametrize(
    ("text", "mac"),
    [
        ("52-54-00-AA-bb-01", "52:54:00:aa:bb:01"),
        ("5254.00aa.bb01", "52:54:00:aa:bb:01"),
        ("02:00:5e:10:00:00:00:01", "02:00:5e:10:00:00:00:01"),
        ("525400aabb01", None),
        ("52-54:00-aa-bb-01", None),
        ("52:54:00:aa:bb", None),
        ("5:54:00:aa:bb:01", None),
        ("", None),
    ],
)
def test_macs_are_read_as_go_reads_them(text, mac):
    assert parse_mac(text) == mac


@pytest.mark.parametrize(
    ("text", "upper"),
    [("straße", "STRAßE"), ("ǆ", "Ǆ"), ("ᾳ", "ᾼ"), ("ŉ", "ŉ"), ("\udcff", "\ufffd")],
)
def test_upper_case_goes_letter_by_letter(text, upper):
    assert go_upper(text) == upper


@pytest.fixture(scope="module")
def matchbox(tmp_path_factory):
    process = ScratchProcess(django_settings.MATCHBOX_BIN, tmp_path_factory.mktemp("scratch"))
    process.put("profiles/x.json", json.dumps({"id": "x"}))
    yield process
    process.stop()


def ask_metadata(process, raw_query):
    """matchbox's answer to the exact bytes of a query, as text."""
    with socket.create_connection(("127.0.0.1", process.port), timeout=60) as connection:
        connection.sendall(b"GET /metadata?" + raw_query + b" HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], answer[:300]
    return body.decode("utf-8", "replace")


def sorted_lines(text):
    return sorted(text.removesuffix("\n").split("\n"))


PIECES = (
    st.sampled_from(
        ["mac", "MAC", "Mac", "uuid", "os", "installed", "=", "==", "&", "&&", ";", "+", "#x", "%"]
    )
    | st.sampled_from(["%41", "%2", "%zz", "%00", "%0a", "%C3%9F", "%ff", "%E1%BE%B3", "%ed%a0%80"])
    | st.sampled_from(["52-54-00-00-00-01", "52:54:00:00:00:01", "5254.0000.0001", "52540000"])
)
# Bytes that may stand in a request line: no blank, no control character.
RAW = st.binary(max_size=6).map(lambda b: bytes(x for x in b if x > 0x20 and x != 0x7F))
ENCODED = st.text(st.characters(exclude_categories=["Cs"]), max_size=4).map(
    lambda text: quote(text, safe="").encode()
)
QUERIES = st.lists(
    PIECES.map(str.encode) | RAW | ENCODED,
    max_size=12,
).map(b"".join)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


@pytest.mark.matchbox
@settings(max_examples=150, deadline=None)
@given(raw=QUERIES, extra=st.dictionaries(WORDS, WORDS | st.booleans(), max_size=4))
def test_the_text_is_exactly_that_of_the_real_matchbox(matchbox, raw, extra):
    metadata = {**metadata_of(machine(1)), "nested": extra, "list": ["a"]}
    matchbox.put("groups/x.json", json.dumps({"id": "x", "profile": "x", "metadata": metadata}))
    ours = metadata_text(metadata, selector={}, raw_query=raw.decode("latin-1"))
    assert sorted_lines(ours) == sorted_lines(ask_metadata(matchbox, raw))


@pytest.mark.matchbox
def test_the_text_of_a_role_is_that_of_the_real_matchbox(matchbox):
    one = machine(5)
    selector = {"mac": one.mac, "os": "installed"}
    metadata = metadata_of(one) | membership_metadata(members=MEMBERS, values=VALUES)
    group = {"id": "x", "profile": "x", "selector": selector, "metadata": metadata}
    matchbox.put("groups/x.json", json.dumps(group))
    raw = "os=installed&mac=52-54-00-00-00-05&uuid=x"
    ours = metadata_text(metadata, selector=selector, raw_query=raw)
    assert sorted_lines(ours) == sorted_lines(ask_metadata(matchbox, raw.encode()))
    assert ours.splitlines() == sorted(ours.splitlines())
