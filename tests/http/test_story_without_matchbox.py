"""One day of an engine whose matchbox is not running, in the order the 2018 project told it.

Each step stands on the ones before; where that project was wrong, the contract's better answer is
asked for (JSON errors, unknown machines refused).
"""

import json

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from enjoliver.engine.probes import LIGHT_PATHS
from machines.tests.factories import document, mac_of, uuid_of
from scheduling.roles import RoleName
from tests.http.wsgi import Call, get, send

pytestmark = pytest.mark.django_db
ROLES = ["etcd-member", "kubernetes-control-plane"]


def query_of(number):
    """What machine `number` says of itself, with dashes as its firmware writes them."""
    return f"uuid={uuid_of(number)}&mac={mac_of(number).replace(':', '-')}&os=installed"


def post(path, data=None, **headers):
    body = b"" if data is None else json.dumps(data).encode()
    return send(Call("POST", path.encode(), body=body, headers=headers))


def read(answer, status=200):
    assert answer.status == status, answer.body
    return json.loads(answer.body)


@pytest.fixture
def story(no_matchbox, operator):
    return Story(operator)


class Story:
    """The steps; a later one trusts what an earlier one left."""

    def __init__(self, operator):
        self.operator = operator

    def health_is_bad_and_says_where(self):
        found = read(get("/healthz"), 503)
        assert (found["flask"], found["db"], found["global"]) == (True, True, False)
        assert found["discovery"] == {"ipxe": False, "ignition": False}
        assert found["matchbox"] == dict.fromkeys([*LIGHT_PATHS, "/metadata"], False)

    def boot_scripts_need_no_matchbox(self):
        first, second = get("/boot.ipxe"), get("/boot.ipxe.0")
        assert first.status == 200
        assert first.body == second.body
        lines = first.body.decode().splitlines()
        assert lines[0] == "#!ipxe"
        assert lines[1].startswith("echo ")
        assert lines[2:4] == [":retry_dhcp", "dhcp || goto retry_dhcp"]
        assert lines[4].startswith(
            f"chain {django_settings.API_URI}/ipxe?uuid=${{uuid}}&mac=${{net0/mac:hexhyp}}"
            "&domain=${domain}&hostname=${hostname}&serial=${serial}"
        )

    def an_unknown_machine_goes_to_its_next_boot_device(self):
        assert get_query("/ipxe", query_of(1)).status == 404

    def unknown_paths_and_the_index(self):
        assert get("/fake").status == 404
        assert get("/").status == 200

    def nothing_is_there_yet(self):
        for path in ("/lifecycle/coreos-install", "/lifecycle/ignition", "/lifecycle/rolling"):
            assert read(get(path)) == []
        assert read(get("/scheduler")) == {}
        assert read(get("/discovery")) == []

    def two_machines_report(self):
        assert read(post("/discovery", document(1))) == {"new-discovery": True}
        assert read(post("/discovery", document(2))) == {"new-discovery": True}
        assert read(post("/discovery", document(2))) == {"new-discovery": False}
        for _ in range(5):
            assert len(read(get("/discovery"))) == 2

    def a_schedule_without_a_body_shows_its_usage(self):
        usage = read(post("/scheduler", **self.operator), 406)
        assert usage["roles"] == [role.value for role in RoleName]
        assert usage["selector"] == {"mac": ""}
        assert {"kind", "value"} <= set(usage)

    def one_machine_gets_two_roles(self):
        sent = {"roles": ROLES, "selector": {"mac": mac_of(1)}}
        assert read(post("/scheduler", sent, **self.operator)) == sent
        assert read(get("/scheduler")) == {mac_of(1): ROLES}
        assert read(post("/scheduler", sent, **self.operator)) == sent
        assert read(get("/scheduler")) == {mac_of(1): ROLES}
        assert read(send(Call(path=b"/scheduler", query=f"mac={mac_of(1)}".encode()))) == {
            mac_of(1): ROLES
        }

    def roles_can_be_read(self):
        for role in ROLES:
            (row,) = read(get(f"/scheduler/{role}"))
            assert (row["mac"], row["roles"]) == (mac_of(1), role)
            assert len(read(get(f"/scheduler/ip-list/{role}"))) == 1
        for role in ("kubernetes-node", "no-such-role"):
            assert read(get(f"/scheduler/{role}")) == []
            assert read(get(f"/scheduler/ip-list/{role}")) == []
        (row,) = read(get("/scheduler/" + "&".join(ROLES)))
        assert (row["mac"], row["roles"]) == (mac_of(1), ROLES)
        (row,) = read(get("/scheduler/available"))
        assert row["mac"] == mac_of(2)

    def install_reports_are_listed(self):
        sent = query_of(1)
        assert read(post(f"/lifecycle/coreos-install/success/{sent}")) == {
            "success": True,
            "request_raw_query": sent,
        }
        (row,) = read(get("/lifecycle/coreos-install"))
        assert row["success"] is True
        assert read(post(f"/lifecycle/coreos-install/fail/{query_of(2)}"))["success"] is False
        listed = {row["mac"]: row["success"] for row in read(get("/lifecycle/coreos-install"))}
        assert listed == {mac_of(1): True, mac_of(2): False}
        post(f"/lifecycle/coreos-install/success/{query_of(2)}")
        assert all(row["success"] for row in read(get("/lifecycle/coreos-install")))

    def a_strategy_is_set_and_read(self):
        sent = query_of(1)
        for _ in range(2):
            assert post(f"/lifecycle/rolling/{sent}", **self.operator).status == 200
            found = read(get(f"/lifecycle/rolling/{sent}"))
            assert (found["enable"], found["strategy"]) == (True, "kexec")
            assert found["request_raw_query"] == sent
        (row,) = read(get("/lifecycle/rolling"))
        assert row["enable"] is True
        never = read(get(f"/lifecycle/rolling/{query_of(2)}"), 401)
        assert (never["enable"], never["strategy"]) == (False, None)
        assert never["request_raw_query"] == query_of(2)

    def the_overview_is_json(self):
        rows = read(get("/ui/view/machine"))
        assert [row["MAC"] for row in rows] == [mac_of(1), mac_of(2)]
        assert [row["UpdateStrategy"] for row in rows] == ["kexec", "Disable"]
        assert [row["Roles"] for row in rows] == [",".join(ROLES), ""]

    def before_a_sync_ignition_is_shut_and_after_it_matchbox_is_missing(self):
        assert get("/ignition").status == 503
        assert get_query("/ignition", query_of(1)).status == 503
        assert get("/ignition-pxe").status == 502
        assert read(get("/sync-notify"), 503)["sync-notify"] is False
        assert post("/sync-notify").status == 401
        sent = read(post("/sync-notify", **self.operator))
        assert sent["ttl"] == django_settings.SYNC_NOTIFY_TTL_SECONDS
        assert read(get("/sync-notify"))["sync-notify"] <= timezone.now().timestamp()
        assert get("/ignition").status == 502
        assert get_query("/ignition", query_of(2)).status == 502
        # A machine with a role never gets what matchbox happens to say: it waits for the sync.
        assert get_query("/ignition", query_of(1)).status == 503
        assert get_query("/metadata", query_of(2)).status == 502

    def the_install_gate_lets_one_in(self):
        for number in (3, 4):
            read(post("/discovery", document(number)))
        granted = get(f"/install-authorization/{query_of(3)}")
        assert (granted.status, granted.body) == (200, b"Granted")
        assert granted.header("X-Enjoliver-Attempt")
        locked = get(f"/install-authorization/{query_of(4)}")
        assert locked.status == 403
        assert locked.body.startswith(b"Locked by")
        assert locked.header("Retry-After")
        assert get(f"/install-authorization/{query_of(9)}").status == 404


def get_query(path, query):
    """GET with a real query string."""
    return send(Call(path=path.encode(), query=query.encode()))


def test_a_day_without_matchbox(story):
    story.health_is_bad_and_says_where()
    story.boot_scripts_need_no_matchbox()
    story.an_unknown_machine_goes_to_its_next_boot_device()
    story.unknown_paths_and_the_index()
    story.nothing_is_there_yet()
    story.two_machines_report()
    story.a_schedule_without_a_body_shows_its_usage()
    story.one_machine_gets_two_roles()
    story.roles_can_be_read()
    story.install_reports_are_listed()
    story.a_strategy_is_set_and_read()
    story.the_overview_is_json()
    story.before_a_sync_ignition_is_shut_and_after_it_matchbox_is_missing()
    story.the_install_gate_lets_one_in()
