"""POST `/discovery` (the bad-input table line by line), and what is read from it."""

import copy
from typing import Any

import pytest

from machines.models import Machine
from tests.contract.site import UNKNOWN, WAITING, mac_of, report_of, uuid_of
from tests.contract.table import Row, check, walk

pytestmark = pytest.mark.django_db

USAGE: dict[str, Any] = {"boot-info": {}, "interfaces": [], "disks": [], "lldp": {}}
NEW, KNOWN = {"new-discovery": True}, {"new-discovery": False}
LINK = {"name": "eth0", "chassis": {"name": "tor", "id": "28:f1:0e:00:00:00"}, "port": {"id": "1"}}


def changed(path="", value=None, *, number=UNKNOWN):
    """A good document with one value changed; ... leaves the key out."""
    whole = copy.deepcopy(report_of(number))
    whole["lldp"] = {"is_file": True, "data": {"interfaces": [copy.deepcopy(LINK)]}}
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = whole
    for step in steps:
        place = place[step]
    if value is ...:
        place.pop(last)
    elif path:
        place[last] = value
    return whole


def taken(says, body, answer=None):
    return Row(says, "POST /discovery", 200, body=body, answer=answer or NEW)


def refused(says, body):
    return Row(says, "POST /discovery", 406, body=body, has=USAGE)


GOOD = [
    taken("a new machine", changed()),
    taken("a known one", changed(number=WAITING), KNOWN),
    taken("no disks", changed("disks", None)),
    taken("no journal", changed("ignition-journal", ["a line"])),
    taken("keys that nobody knows", changed("something", {"deep": [1]})),
    taken("no LLDP", changed("lldp", {"is_file": False, "data": {"interfaces": None}})),
    taken("an interface without MAC is passed over", changed("interfaces.0.mac", "")),
    taken("a MAC with dashes", changed("interfaces.1.mac", mac_of(UNKNOWN).replace(":", "-"))),
    taken("a MAC in capitals", changed("boot-info.mac", mac_of(UNKNOWN).upper())),
    taken("a bare MAC", changed("boot-info.mac", mac_of(UNKNOWN).replace(":", ""))),
    taken("no name", changed("interfaces.1.fqdn", ...)),
    taken("null for a name", changed("interfaces.1.fqdn", None)),
    taken("an empty list of names", changed("interfaces.1.fqdn", [])),
    taken("two names", changed("interfaces.1.fqdn", ["a.example.test", "b.example.test"])),
    taken("a port that is no MAC", changed("lldp.data.interfaces.0.port.id", "Ethernet1/22")),
    taken("a chassis that is no MAC", changed("lldp.data.interfaces.0.chassis.id", "local-7")),
    taken("a MAC that another UUID has is told apart", changed("boot-info.uuid", uuid_of(7))),
]
BAD = [
    refused("no body", b""),
    refused("text", b"ok"),
    refused("broken JSON", b'{"boot-info": '),
    refused("NaN is not JSON", b"NaN"),
    refused("no UTF-8", b"\xff\xfe{}"),
    refused("nested beyond reason", b"[" * 100_000),
    refused("a number beyond reason", b"9" * 5000),
    *(refused(f"{text} is no document", text) for text in ("[]", "{}", "[{}]", '"ok"')),
    *(refused(f"{text} is no document", text) for text in ("null", "7", "1.5", "true")),
    *(refused(f"no {key}", changed(key, ...)) for key in USAGE),
    refused("interfaces: null", changed("interfaces", None)),
    refused("no UUID", changed("boot-info.uuid", ...)),
    refused("a malformed UUID", changed("boot-info.uuid", "652812fc19d95a64aa5307f18badd780")),
    refused("no boot MAC", changed("boot-info.mac", ...)),
    refused("a boot MAC that no interface has", changed("boot-info.mac", mac_of(98))),
    refused("an interface MAC that is none", changed("interfaces.1.mac", "fake")),
    refused("an overlong MAC", changed("interfaces.1.mac", mac_of(1) + ":00")),
    refused("no dotted quad", changed("interfaces.1.ipv4", "10.64")),
    *(
        refused(f"an interface without {key}", changed(f"interfaces.1.{key}", ...))
        for key in ("name", "mac", "ipv4", "cidrv4", "netmask", "gateway")
    ),
    refused("a gateway that is no address", changed("interfaces.1.gateway", "x")),
    refused("text for a netmask", changed("interfaces.1.netmask", "abc")),
    refused("a netmask beyond 32", changed("interfaces.1.netmask", 10**400)),
    refused("a name with a control character", changed("interfaces.1.fqdn", ["a\x00b"])),
    refused("a name beyond reason", changed("interfaces.1.fqdn", ["x" * 300])),
    refused("a disk without size", changed("disks.0.size-bytes", ...)),
    refused("a disk without path", changed("disks.0.path", ...)),
    refused("a size beyond bigint", changed("disks.0.size-bytes", 2**63)),
    refused("LLDP of an interface that is not listed", changed("lldp.data.interfaces.0.name", "x")),
    refused("lldp: {}", changed("lldp", {})),
    refused("a lone surrogate", changed("interfaces.1.name", "\ud800")),
]


def test_good_documents_are_taken(client, subtests, site):
    walk(client, subtests, GOOD)


def test_bad_documents_are_refused_with_the_usage(client, subtests, site):
    walk(client, subtests, BAD)


def test_nothing_is_half_stored(client, site):
    before = list(client.get("/discovery").json())
    for row in BAD:
        check(client, row)
    assert client.get("/discovery").json() == before
    assert Machine.objects.count() == 3


def test_an_invalid_document_names_each_fault(client, site):
    whole = changed("interfaces.1.netmask", "abc")
    whole["boot-info"]["uuid"] = "x"
    row = Row("all at once", "POST /discovery", 406, body=whole, has={"kind": "invalid_report"})
    fields = check(client, row).json()["fields"]
    assert set(fields) == {"boot-info.uuid", "interfaces[1].netmask"}


INTERFACE = {
    "mac": mac_of(WAITING),
    "name": "eth0",
    "ipv4": "10.64.0.3",
    "cidrv4": "10.64.0.3/14",
    "netmask": 14,
    "gateway": "10.64.0.254",
    "fqdn": "r3-srv3.dc1.example.test",
    "as_boot": True,
}
JOURNALS = f"/discovery/ignition-journal/{uuid_of(UNKNOWN)}"
BOOT = changed()["boot-info"]["random-id"]
STORY = [
    Row("nothing posted, nothing listed", f"GET {JOURNALS}", 404),
    taken("a machine with a journal", changed() | {"ignition-journal": ["one", "two"]}),
    Row("its boots are listed, the lines counted", f"GET {JOURNALS}", 200, text='"lines": 2'),
    Row("a slash changes nothing", f"GET {JOURNALS}/", 200, text='"lines": 2'),
    Row(
        "one boot with its lines",
        f"GET {JOURNALS}/{BOOT}",
        200,
        has={"uuid": uuid_of(UNKNOWN), "boot_id": BOOT, "lines": ["one", "two"]},
    ),
    Row(
        "as text for who prefers text",
        f"GET {JOURNALS}/{BOOT}",
        200,
        sends={"Accept": "text/plain"},
        text="one\ntwo\n",
        headers={"Content-Type": "text/plain.*"},
    ),
    Row("an unknown boot", f"GET {JOURNALS}/other", 404, has={"kind": "unknown_boot"}),
    Row("what is no UUID", "GET /discovery/ignition-journal/x", 404),
    Row("all boots", "GET /discovery/ignition-journal", 200, text=BOOT),
    Row("HEAD", "HEAD /discovery", 200, headers={"Content-Length": "[1-9].*"}),
    Row("a slash", "GET /discovery/", 200, text=uuid_of(UNKNOWN)),
    Row("other methods", "PUT /discovery", 405, headers={"Allow": "GET, POST, HEAD"}),
    Row("NUL in a path", "GET /discovery/ignition-journal/%00", 400),
]


def test_what_was_posted_can_be_read(client, subtests, site):
    walk(client, subtests, STORY, is_story=True)


def test_lists_have_the_keys_of_the_reference(client, site):
    found = client.get("/discovery").json()
    assert [row["boot-info"]["mac"] for row in found] == [mac_of(1), mac_of(2), mac_of(3)]
    waiting = found[2]
    assert set(waiting) == {"boot-info", "interfaces", "disks"}
    assert set(waiting["boot-info"]) == {"uuid", "mac", "created-date", "updated-date"}
    assert waiting["interfaces"] == [INTERFACE]
    assert waiting["disks"] == [{"path": "/dev/sda", "size-bytes": 21474836480}]
    flat = client.get("/discovery/interfaces").json()
    assert flat[2] == INTERFACE | {"uuid": uuid_of(WAITING)}


def test_one_mac_under_two_uuids_are_two_machines_in_conflict(client, site):
    row = taken("the mainboard was swapped", changed("boot-info.uuid", uuid_of(7), number=WAITING))
    check(client, row)
    listed = [row["boot-info"]["uuid"] for row in client.get("/discovery").json()]
    assert listed == [uuid_of(1), uuid_of(2), uuid_of(3), uuid_of(7)]
    assert Machine.objects.filter(conflicts__kind="shared_mac").distinct().count() == 2
