"""The boot routes, with and without held content, with and without matchbox."""

import json
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from machines.models import Event, Machine
from machines.services import request_reinstall
from matchbox_sync.models import DesiredConfig, SyncState
from matchbox_sync.services import sync_cluster
from matchbox_sync.tests.conftest import fetch
from matchbox_sync.tests.fleet import (
    CONTROL_PLANE,
    discover,
    install,
    mac_of,
    place,
    uuid_of,
)
from scheduling.services import assign_roles, release_machine

pytestmark = [pytest.mark.django_db, pytest.mark.matchbox]


def query_of(number, *, installed=False):
    text = f"uuid={uuid_of(number)}&mac={mac_of(number).replace(':', '-')}"
    return f"{text}&os=installed" if installed else text


@pytest.fixture
def synced(cluster):
    """A control plane of one, a node, and a machine without a role; all synced."""
    place(1, CONTROL_PLANE)
    place(2)
    discover(3)
    sync_cluster(cluster=cluster)
    return cluster


def test_the_bootstrap_script_is_the_known_one_and_costs_no_query(
    client, django_assert_num_queries
):
    with django_assert_num_queries(0):
        answer = client.get("/boot.ipxe")
    assert answer.content.decode() == (
        "#!ipxe\necho start /boot.ipxe\n:retry_dhcp\ndhcp || goto retry_dhcp\n"
        "chain http://127.0.0.1:5000/ipxe?uuid=${uuid}&mac=${net0/mac:hexhyp}"
        "&domain=${domain}&hostname=${hostname}&serial=${serial}\n"
    )
    assert client.get("/boot.ipxe.0").content == answer.content


class TestIpxe:
    def test_an_unknown_machine_gets_the_discovery_script(self, client, synced):
        answer = client.get(f"/ipxe?{query_of(77)}")
        assert answer.status_code == 200
        assert b"/ignition-pxe?" in answer.content
        assert not Machine.objects.filter(boot_mac=mac_of(77)).exists()

    def test_a_machine_that_is_not_installed_discovers_even_with_a_role(self, client, synced):
        assert b"/ignition-pxe?" in client.get(f"/ipxe?{query_of(2)}").content

    def test_an_installed_machine_boots_its_disk(self, client, synced):
        install(Machine.objects.get(boot_mac=mac_of(2)))
        assert b"sanboot" in client.get(f"/ipxe?{query_of(2)}").content

    def test_the_site_may_switch_disk_boot_off(self, client, synced, settings):
        settings.DISK_BOOT = False
        install(Machine.objects.get(boot_mac=mac_of(2)))
        assert b"/ignition-pxe?" in client.get(f"/ipxe?{query_of(2)}").content

    def test_a_machine_marked_for_reinstall_discovers_again(self, client, synced):
        machine = Machine.objects.get(boot_mac=mac_of(2))
        install(machine)
        request_reinstall(machine=machine, actor="test", reason="new disk")
        assert b"/ignition-pxe?" in client.get(f"/ipxe?{query_of(2)}").content

    def test_with_os_installed_it_is_always_the_roles_script(self, client, synced):
        install(Machine.objects.get(boot_mac=mac_of(2)))
        script = client.get(f"/ipxe?{query_of(2, installed=True)}").content
        assert b"kernel " in script
        assert b"os=installed" in script
        assert b"/ignition-pxe?" not in script

    def test_a_query_without_a_mac_gets_discovery_and_leaves_no_trace(self, client, synced):
        before = Event.objects.count()
        assert client.get("/ipxe").status_code == 200
        assert client.get("/ipxe?mac=fake").status_code == 200
        assert Event.objects.count() == before

    def test_another_uuid_behind_a_known_mac_gets_nobodys_role(self, client, synced):
        query = f"uuid={uuid_of(99)}&mac={mac_of(2)}"
        assert b"/ignition-pxe?" in client.get(f"/ipxe?{query}").content
        for route in ("/ipxe", "/ignition"):
            answer = client.get(f"{route}?{query}&os=installed")
            assert answer.status_code == 409
            assert answer.json()["kind"] == "identity_conflict"

    def test_what_is_no_uuid_gets_nobodys_role(self, client, synced):
        query = f"uuid=nonsense&mac={mac_of(2)}"
        assert b"/ignition-pxe?" in client.get(f"/ipxe?{query}").content
        for route in ("/ipxe", "/ignition"):
            answer = client.get(f"{route}?{query}&os=installed")
            assert (answer.status_code, set(answer.json()["fields"])) == (400, {"uuid"})

    def test_before_the_first_sync_matchbox_is_asked(self, client, public_matchbox):
        answer = client.get("/ipxe?mac=52:54:00:00:00:01")
        assert answer.status_code == 404  # it has no group
        assert answer.json()["kind"] == "no_matching_group"

    def test_unreachable_matchbox_is_404_for_ipxe_and_one_event(self, client, cluster):
        for _ in range(3):
            assert client.get("/ipxe?mac=52:54:00:00:00:01").status_code == 404
        assert Event.objects.filter(kind="matchbox_unreachable").count() == 1

    def test_a_database_that_takes_no_writes_does_not_stop_a_boot(
        self, client, synced, monkeypatch
    ):
        def locked(*, query):
            raise OperationalError("database is locked")

        monkeypatch.setattr("matchbox_sync.views.boot.record_boot", locked)
        assert client.get(f"/ipxe?{query_of(2)}").status_code == 200

    def test_a_boot_storm_costs_few_queries_each(
        self, client, synced, django_assert_max_num_queries
    ):
        with django_assert_max_num_queries(8):
            client.get(f"/ipxe?{query_of(2)}")
        with django_assert_max_num_queries(4):
            client.get(f"/ignition?{query_of(2, installed=True)}")


class TestIgnition:
    def test_before_the_first_sync_it_is_503(self, client, cluster):
        answer = client.get(f"/ignition?{query_of(1)}")
        assert answer.status_code == 503
        assert answer.json()["value"] == "matchbox is out of sync"

    def test_without_the_gate_it_asks_matchbox_and_says_502(self, client, cluster):
        assert client.get(f"/ignition-pxe?{query_of(1)}").status_code == 502

    def test_an_open_gate_without_content_asks_matchbox(self, client, cluster, admin_client):
        assert admin_client.post("/sync-notify").status_code == 200
        assert client.get(f"/ignition?{query_of(1)}").status_code == 502

    def test_a_role_holder_gets_its_own_config(self, client, synced):
        answer = client.get(f"/ignition?{query_of(2, installed=True)}")
        assert answer.status_code == 200
        assert json.loads(answer.content)["ignition"]["version"].startswith("3.")
        desired = DesiredConfig.objects.get(machine__boot_mac=mac_of(2))
        assert answer.headers["ETag"] == f'"{desired.sha512}"'

    def test_every_spelling_of_the_mac_is_the_same_machine(self, client, synced):
        bodies = {
            client.get(f"/ignition?mac={mac}&os=installed").content
            for mac in (
                "52:54:00:00:00:02",
                "52-54-00-00-00-02",
                "525400000002",
                "5254.0000.0002",
                "52:54:00:00:00:02".upper(),
            )
        }
        assert len(bodies) == 1

    def test_without_os_installed_everybody_gets_discovery(self, client, synced):
        bodies = {client.get(f"/ignition?{query_of(n)}").content for n in (1, 2, 3, 77)}
        assert len(bodies) == 1
        assert b"/etc/enjoliver/discovery" in bodies.pop()

    def test_a_known_etag_is_304(self, client, synced):
        url = f"/ignition?{query_of(2, installed=True)}"
        tag = client.get(url).headers["ETag"]
        assert client.get(url, headers={"if-none-match": tag}).status_code == 304
        assert client.get(url, headers={"if-none-match": '"other"'}).status_code == 200

    def test_a_stale_gate_stops_discovery_but_not_a_verified_config(self, client, synced):
        SyncState.objects.update(notified_at=timezone.now() - timedelta(minutes=5))
        assert client.get(f"/ignition?{query_of(3)}").status_code == 503
        assert client.get(f"/ignition?{query_of(2, installed=True)}").status_code == 200
        assert client.get(f"/ignition-pxe?{query_of(3)}").status_code == 200

    def test_a_clock_that_stepped_back_closes_the_gate(self, client, synced):
        SyncState.objects.update(notified_at=timezone.now() + timedelta(hours=1))
        assert client.get("/sync-notify").status_code == 503

    def test_a_new_role_is_503_until_the_sync_has_seen_it(self, client, synced):
        machine = Machine.objects.get(boot_mac=mac_of(2))
        release_machine(machine=machine, actor="test", reason="move")
        assign_roles(machine=machine, roles=CONTROL_PLANE, actor="test")
        assert client.get(f"/ignition?{query_of(2, installed=True)}").status_code == 503
        sync_cluster(cluster=synced)
        assert client.get(f"/ignition?{query_of(2, installed=True)}").status_code == 200


class TestMetadata:
    @pytest.mark.parametrize("query", [query_of(2, installed=True), query_of(3), "", "mac=x&a=b"])
    def test_it_is_matchboxs_answer_with_sorted_lines(self, client, public_matchbox, synced, query):
        ours = client.get(f"/metadata?{query}")
        theirs = fetch(f"{public_matchbox}/metadata?{query}")
        assert ours.content.decode().splitlines() == sorted(theirs.text.splitlines())
        assert "ETag" in ours.headers

    def test_it_names_the_control_plane(self, client, synced):
        lines = client.get(f"/metadata?{query_of(2, installed=True)}").content.decode()
        assert "10.64.0.1" in lines


class TestAssets:
    @pytest.fixture(autouse=True)
    def files(self, settings, tmp_path):
        settings.ASSETS_PATH = tmp_path / "assets"
        (tmp_path / "assets" / "flatcar").mkdir(parents=True)
        (tmp_path / "assets" / "flatcar" / "vmlinuz").write_bytes(b"0123456789")
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "assets" / "link").symlink_to(tmp_path / "secret")

    def body(self, answer):
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        answer.close()
        return body

    def test_a_file_is_streamed_with_its_length(self, client):
        answer = client.get("/assets/flatcar/vmlinuz")
        assert self.body(answer) == b"0123456789"
        assert answer.headers["Content-Length"] == "10"
        assert answer.headers["Accept-Ranges"] == "bytes"

    @pytest.mark.parametrize(
        ("asked", "status", "body"),
        [
            ("bytes=0-3", 206, b"0123"),
            ("bytes=4-", 206, b"456789"),
            ("bytes=-2", 206, b"89"),
            ("bytes=0-0", 206, b"0"),
            ("bytes=9-", 206, b"9"),
            ("bytes=-1", 206, b"9"),
            ("bytes=-99", 206, b"0123456789"),
            ("bytes=8-99", 206, b"89"),
            ("bytes=0-1,3-4", 200, b"0123456789"),
            ("lines=0-1", 200, b"0123456789"),
            ("bytes=5-2", 200, b"0123456789"),
        ],
    )
    def test_ranges(self, client, asked, status, body):
        answer = client.get("/assets/flatcar/vmlinuz", headers={"range": asked})
        assert (answer.status_code, self.body(answer)) == (status, body)
        assert answer.headers["Content-Length"] == str(len(body))

    @pytest.mark.parametrize("asked", ["bytes=10-", "bytes=20-30", "bytes=-0"])
    def test_a_range_beyond_the_end_is_416_with_the_size(self, client, asked):
        answer = client.get("/assets/flatcar/vmlinuz", headers={"range": asked})
        assert (answer.status_code, answer.json()["kind"]) == (416, "range_not_satisfiable")
        assert answer.headers["Content-Range"] == "bytes */10"

    def test_a_part_of_another_version_is_never_sent(self, client):
        first = client.get("/assets/flatcar/vmlinuz")
        self.body(first)
        asked = {"range": "bytes=4-"}
        for version, status in ((first.headers["ETag"], 206), ('"an older one"', 200)):
            answer = client.get("/assets/flatcar/vmlinuz", headers={**asked, "if-range": version})
            assert answer.status_code == status
            self.body(answer)

    def test_an_unchanged_file_is_304(self, client):
        first = client.get("/assets/flatcar/vmlinuz")
        self.body(first)
        tag = first.headers["ETag"]
        answer = client.get("/assets/flatcar/vmlinuz", headers={"if-none-match": tag})
        assert answer.status_code == 304

    @pytest.mark.parametrize(
        "path",
        [
            "nope",
            "flatcar",
            "../secret",
            "%2e%2e/secret",
            "flatcar/../../secret",
            "link",
            "..%2fsecret",
            "/etc/passwd",
            "flatcar%3f",
            "%2e%2e/ignition%3fmac=1",
        ],
    )
    def test_a_path_never_leaves_the_assets(self, client, path):
        assert client.get(f"/assets/{path}").status_code == 404

    def test_head_sends_no_body(self, client):
        answer = client.head("/assets/flatcar/vmlinuz")
        assert answer.status_code == 200
        assert answer.headers["Content-Length"] == "10"

    def test_the_list_names_the_files(self, client):
        assert client.get("/assets").json() == ["flatcar/vmlinuz"]


class TestSyncNotify:
    def test_it_is_503_before_the_first_sync(self, client, cluster):
        answer = client.get("/sync-notify")
        assert answer.status_code == 503
        assert answer.json()["sync-notify"] is False

    def test_it_is_503_in_the_same_words_while_the_database_is_away(
        self, client, cluster, monkeypatch
    ):
        def away():
            raise OperationalError("connection refused")

        monkeypatch.setattr("matchbox_sync.views.sync.held.gate_timestamp", away)
        answer = client.get("/sync-notify")
        assert answer.status_code == 503
        assert answer.json()["sync-notify"] is False
        assert answer.json()["kind"] == "database_unavailable"

    def test_an_operator_renews_it(self, client, admin_client, cluster):
        assert client.post("/sync-notify").status_code == 401
        answer = admin_client.post("/sync-notify").json()
        assert set(answer) == {"ts", "ttl"}
        assert client.get("/sync-notify").json() == {"sync-notify": answer["ts"]}


class TestTemplates:
    def test_none_is_in_force_before_the_first_sync(self, client, cluster):
        assert client.get("/ignition/version").json() == {}

    def test_the_profiles_texts_are_in_force_after_it(self, client, synced):
        assert set(client.get("/ignition/version").json()) == {
            "discovery",
            "etcd-member-kubernetes-control-plane",
            "kubernetes-node",
        }

    def test_a_recorded_text_is_kept_for_readers(self, client, admin_client, cluster):
        def post(text):
            return admin_client.post(
                "/ignition/version/some-profile",
                json.dumps({"some-profile": text}),
                content_type="text/plain",
            ).json()

        assert post("v1") == {"new": True, "total": 1}
        assert post("v2") == {"new": False, "total": 1}
        assert client.get("/ignition/version").json() == {"some-profile": "v2"}
        assert client.get("/ignition/version/some-profile").json() == {"some-profile": "v2"}
        assert client.get("/ignition/version/other").status_code == 404

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "x",
            "[]",
            "null",
            '{"other": "x"}',
            '{"name": 3}',
            '{"name": "NUL \\u0000"}',
            '{"name": "' + "x" * 300_000 + '"}',
        ],
    )
    def test_a_bad_body_is_406_and_records_nothing(self, client, admin_client, cluster, body):
        answer = admin_client.post("/ignition/version/name", body, content_type="text/plain")
        assert answer.status_code == 406
        assert client.get("/ignition/version").json() == {}

    def test_the_number_is_bounded(self, admin_client, cluster):
        for number in range(100):
            name = f"n{number}"
            admin_client.post(
                f"/ignition/version/{name}", json.dumps({name: "x"}), content_type="text/plain"
            )
        answer = admin_client.post(
            "/ignition/version/more", '{"more": "x"}', content_type="text/plain"
        )
        assert answer.status_code == 406
