"""`/boot.ipxe`, `/ipxe`, `/ignition`, `/ignition-pxe`, `/metadata`, `/assets`."""

import hashlib

import pytest

from machines.models import Machine
from matchbox_sync.tests.fleet import install
from tests.contract.site import (
    NODE_MACHINE,
    PLANE_MACHINE,
    UNKNOWN,
    WAITING,
    dashed,
    firmware_query,
    mac_of,
    query,
)
from tests.contract.table import Row, check, walk

pytestmark = [pytest.mark.django_db, pytest.mark.matchbox]

CHAIN = (
    "/ipxe?uuid=${uuid}&mac=${net0/mac:hexhyp}&domain=${domain}"
    "&hostname=${hostname}&serial=${serial}\n"
)
DISCOVERS = "/ignition-pxe?"
BOOTS_ITS_DISK = "sanboot"
MARK = "/etc/enjoliver/discovery"
SHA512 = '"[0-9a-f]{128}"'
TWINS = query(NODE_MACHINE, uuid_of_machine=PLANE_MACHINE)
FIRMWARE_TWINS = firmware_query(NODE_MACHINE, uuid_of_machine=PLANE_MACHINE)

SCRIPTS = [
    Row("the first script chains with the whole identity", "GET /boot.ipxe", 200, text=CHAIN),
    Row("and is the same under its other name", "GET /boot.ipxe.0", 200, text=CHAIN),
    Row("it retries DHCP", "GET /boot.ipxe", 200, text="dhcp || goto retry_dhcp\n"),
    Row("its query is passed over", "GET /boot.ipxe?mac=fake", 200, text=CHAIN),
    Row("an unknown MAC discovers", f"GET /ipxe?{firmware_query(UNKNOWN)}", 200, text=DISCOVERS),
    Row("so does a query without a MAC", "GET /ipxe", 200, text=DISCOVERS),
    Row("and one with any text for a MAC", "GET /ipxe?mac=fake", 200, text=DISCOVERS),
    Row("not installed: discovers", f"GET /ipxe?{firmware_query(WAITING)}", 200, text=DISCOVERS),
    Row(
        "an installed machine boots its disk",
        f"GET /ipxe?{firmware_query(NODE_MACHINE)}",
        200,
        text=BOOTS_ITS_DISK,
    ),
    Row(
        "with os=installed it is the role's script, also when installed",
        f"GET /ipxe?{query(NODE_MACHINE)}",
        200,
        text="kernel ",
        lacks=DISCOVERS,
    ),
    Row(
        "that script asks for the role's config",
        f"GET /ipxe?{query(NODE_MACHINE)}",
        200,
        text="os=installed",
    ),
    Row("another machine's UUID discovers", f"GET /ipxe?{FIRMWARE_TWINS}", 200, text=DISCOVERS),
    Row(
        "and never gets a role's script",
        f"GET /ipxe?{TWINS}",
        409,
        has={"kind": "identity_conflict"},
    ),
    Row("HEAD works where GET does", "HEAD /boot.ipxe", 200, headers={"Content-Length": "[1-9].*"}),
]

CONFIGS = [
    *(
        Row(
            f"the role's own config, with its digest as ETag, for {spelling}",
            f"GET /ignition?mac={spelling}&os=installed",
            200,
            lacks=MARK,
            headers={"ETag": SHA512, "Content-Type": "text/plain; charset=utf-8"},
        )
        for spelling in (
            mac_of(NODE_MACHINE),
            mac_of(NODE_MACHINE).upper(),
            dashed(NODE_MACHINE),
            dashed(NODE_MACHINE).replace("-", ""),
            "5254.0000.0002",
            "52%3A54%3A00%3A00%3A00%3A02",
        )
    ),
    Row("no os=installed: discovery", f"GET /ignition?{firmware_query(2)}", 200, text=MARK),
    Row("no role: discovery", f"GET /ignition?{query(WAITING)}", 200, text=MARK),
    Row("unknown: discovery", f"GET /ignition?{query(UNKNOWN)}", 200, text=MARK),
    Row("no query: discovery", "GET /ignition", 200, text=MARK),
    Row("another UUID: no role's config", f"GET /ignition?{TWINS}", 409),
    Row(
        "what is no UUID: no role's config",
        f"GET /ignition?uuid=x&mac={dashed(2)}&os=installed",
        400,
        has={"kind": "invalid_input"},
    ),
    Row("a twin may discover itself", f"GET /ignition-pxe?{FIRMWARE_TWINS}", 200, text=MARK),
    Row("NUL is refused", "GET /ignition?mac=%00", 400, has={"kind": "control_characters"}),
    Row("so is a line break", "GET /ignition?x=%0a", 400),
    Row("an endless query is refused", "GET /ignition?" + "a" * 4097, 400),
    Row(
        "metadata is the group's, in lines",
        f"GET /metadata?{query(NODE_MACHINE)}",
        200,
        text="\nPROFILE=kubernetes-node\n",
        headers={"ETag": '".+"', "Content-Type": "text/plain; charset=utf-8"},
    ),
    Row(
        "it carries the control plane's members",
        f"GET /metadata?{query(NODE_MACHINE)}",
        200,
        text="10.64.0.1",
    ),
    Row("no role: discovery's metadata", "GET /metadata", 200, text="PROFILE=discovery\n"),
    Row("a twin gets nobody's values", f"GET /metadata?{TWINS}", 200, text="PROFILE=discovery\n"),
]


@pytest.fixture
def booting(synced):
    """The site in sync, and its node installed."""
    install(Machine.objects.get(boot_mac=mac_of(NODE_MACHINE)))


def test_scripts(client, subtests, booting):
    walk(client, subtests, SCRIPTS)


def test_configs_and_metadata(client, subtests, booting):
    walk(client, subtests, CONFIGS)


@pytest.mark.parametrize("route", ["ignition", "ignition-pxe", "metadata"])
def test_a_known_etag_is_304_and_the_digest_is_that_of_the_bytes(client, booting, route):
    ask = f"GET /{route}?{query(NODE_MACHINE)}"
    answer = check(client, Row("first", ask, 200))
    tag = answer.headers["ETag"]
    if route != "metadata":
        assert tag == f'"{hashlib.sha512(answer.content).hexdigest()}"'
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again = check(client, Row("again", ask, 304, sends={"If-None-Match": known}))
        assert again.headers["ETag"] == tag
        assert again.content == b""
    check(client, Row("another", ask, 200, sends={"If-None-Match": '"other"'}))


def test_the_control_plane_in_the_metadata_is_the_schedulers(client, booting):
    listed = ",".join(client.get("/scheduler/ip-list/etcd-member").json())
    check(
        client,
        Row(
            "the same addresses, whoever asks",
            f"GET /metadata?{query(NODE_MACHINE)}",
            200,
            text=f"\nETCD_MEMBER_KUBERNETES_CONTROL_PLANE_IP_LIST={listed}\n",
        ),
    )


BEFORE_THE_FIRST_SYNC = [
    Row("matchbox away: iPXE goes on to its next device", f"GET /ipxe?{query(WAITING)}", 404),
    Row("a role's script is not there yet", f"GET /ipxe?{query(NODE_MACHINE)}", 503),
    Row(
        "the gate is shut",
        f"GET /ignition?{query(WAITING)}",
        503,
        has={"value": "matchbox is out of sync"},
    ),
    Row("also without a query", "GET /ignition", 503),
    Row("discovery has no gate, but needs matchbox", "GET /ignition-pxe", 502),
    Row("metadata needs it too", "GET /metadata", 502),
    Row("the first script needs nothing", "GET /boot.ipxe", 200, text=CHAIN),
]


def test_before_the_first_sync_and_without_matchbox(client, subtests, site):
    walk(client, subtests, BEFORE_THE_FIRST_SYNC)


ASSETS = [
    Row("what there is", "GET /assets", 200, answer=["coreos/vmlinuz", "empty"]),
    Row("with a slash as well", "GET /assets/", 200, answer=["coreos/vmlinuz", "empty"]),
    Row(
        "a file",
        "GET /assets/coreos/vmlinuz",
        200,
        text="0123456789",
        headers={
            "Content-Type": "application/octet-stream",
            "Content-Length": "10",
            "Accept-Ranges": "bytes",
            "ETag": '".+"',
        },
    ),
    Row("its query is passed over", "GET /assets/coreos/vmlinuz?x=../y", 200, text="0123456789"),
    Row("404 is 404", "GET /assets/nope.bin", 404, has={"kind": "not_found"}),
    Row("a folder is no file", "GET /assets/coreos", 404),
    Row("HEAD", "HEAD /assets/coreos/vmlinuz", 200, headers={"Content-Length": "10"}),
    Row("an empty file", "GET /assets/empty", 200, headers={"Content-Length": "0"}),
    *(
        Row(
            f"the range {asked}",
            "GET /assets/coreos/vmlinuz",
            206,
            sends={"Range": f"bytes={asked}"},
            text=text,
            headers={"Content-Range": f"bytes {sent}/10", "Content-Length": str(len(text))},
        )
        for asked, sent, text in (
            ("0-3", "0-3", "0123"),
            ("0-0", "0-0", "0"),
            ("7-", "7-9", "789"),
            ("-2", "8-9", "89"),
            ("5-500", "5-9", "56789"),
        )
    ),
    Row(
        "a range beyond the end",
        "GET /assets/coreos/vmlinuz",
        416,
        sends={"Range": "bytes=10-"},
        headers={"Content-Range": r"bytes \*/10"},
    ),
    Row(
        "a range of another version is the whole file",
        "GET /assets/coreos/vmlinuz",
        200,
        sends={"Range": "bytes=5-", "If-Range": '"older"'},
        text="0123456789",
    ),
    *(
        Row("a path never leaves the assets", f"GET /assets/{path}", 404, lacks="key")
        for path in (
            "../secret",
            "%2e%2e/secret",
            "..%2fsecret",
            "coreos/../../secret",
            "%2e%2e%2f%2e%2e%2fetc/passwd",
            "%252e%252e/secret",
            "/etc/passwd",
            "%2fetc%2fpasswd",
            "../metadata",
            "%2e%2e/ignition%3fmac=52-54-00-00-00-02",
            "out",
            "out/secret",
        )
    ),
    Row("NUL", "GET /assets/coreos%00", 400),
    Row("other methods", "POST /assets/coreos/vmlinuz", 405, headers={"Allow": "GET, HEAD"}),
]


def test_assets(client, subtests, db, settings, tmp_path):
    settings.ASSETS_PATH = tmp_path / "assets"
    (tmp_path / "assets" / "coreos").mkdir(parents=True)
    (tmp_path / "assets" / "coreos" / "vmlinuz").write_text("0123456789")
    (tmp_path / "assets" / "empty").touch()
    (tmp_path / "secret").write_text("key")
    (tmp_path / "assets" / "out").symlink_to(tmp_path)
    walk(client, subtests, ASSETS)
