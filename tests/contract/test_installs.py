"""`/install-authorization` and `/lifecycle/coreos-install`."""

import pytest

from lifecycle.models import InstallAttempt, InstallReport, InstallWaiter
from machines.models import Event, StateChange
from tests.contract.site import NODE_MACHINE, PLANE_MACHINE, UNKNOWN, WAITING, dashed, query
from tests.contract.table import Row, check, walk

pytestmark = pytest.mark.django_db

UUID4 = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
GATE, REPORTS = "/install-authorization", "/lifecycle/coreos-install"
TWINS = query(NODE_MACHINE, uuid_of_machine=PLANE_MACHINE)
BAD_QUERIES = ("os=installed", "mac=", "mac=fake", f"x{dashed(1)}", f"uuid=x&mac={dashed(1)}")


def asks(number, says, status=200, **expected):
    text = "Granted" if status == 200 else "Locked by "
    return Row(says, f"GET {GATE}/{query(number)}", status, text=text, **expected)


def report(number, says, word="success"):
    answer = {"success": word == "success", "request_raw_query": query(number)}
    return Row(says, f"POST {REPORTS}/{word}/{query(number)}", 200, answer=answer)


STORY = [
    Row("nobody reported", f"GET {REPORTS}", 200, answer=[]),
    asks(1, "the first one is granted", headers={"X-Enjoliver-Attempt": UUID4}),
    asks(1, "and again when it asks again", headers={"X-Enjoliver-Attempt": UUID4}),
    asks(
        2,
        "the second one is told whom it waits for",
        403,
        headers={"Retry-After": "[1-9][0-9]*", "X-Enjoliver-Queue-Position": "1"},
    ),
    Row("by the holder's own query", f"GET {GATE}/{query(2)}", 403, text=f"Locked by {query(1)}\n"),
    asks(3, "the third one stands behind it", 403, headers={"X-Enjoliver-Queue-Position": "2"}),
    Row("an encoded query is the same", f"GET {GATE}/mac%3D{dashed(1)}", 200, text="Granted"),
    Row("so is one with a slash", f"GET {GATE}/{query(1)}/", 200, text="Granted"),
    Row("a real query string is passed over", f"GET {GATE}/{query(1)}?mac=x", 200, text="Granted"),
    Row("an unknown machine", f"GET {GATE}/{query(UNKNOWN)}", 404, has={"kind": "unknown_machine"}),
    Row("two machines in one query", f"GET {GATE}/{TWINS}", 409, has={"kind": "identity_conflict"}),
    Row("no query", f"GET {GATE}", 404),
    Row("another method", f"POST {GATE}/{query(1)}", 405, headers={"Allow": "GET, HEAD"}),
    report(1, "its success ends its place"),
    report(1, "a repetition is answered alike"),
    asks(2, "the next one is granted"),
    report(3, "a report without a grant is answered, and does not end the gate"),
    asks(3, "as it shows", 403),
    report(2, "a failure ends a place as well", "fail"),
    asks(3, "as it shows again"),
    Row(
        "another word",
        f"POST {REPORTS}/done/{query(1)}",
        403,
        has={"value": "success or fail != done"},
    ),
    Row("whoever says it", f"POST {REPORTS}/done/os=x", 403),
    Row("the word in capitals", f"POST {REPORTS}/SUCCESS/{query(1)}", 200, has={"success": True}),
    Row("an unknown machine", f"POST {REPORTS}/success/{query(UNKNOWN)}", 404),
    Row("two machines in one query", f"POST {REPORTS}/success/{TWINS}", 409),
    Row("a report is a POST", f"GET {REPORTS}/success/{query(1)}", 405, headers={"Allow": "POST"}),
    Row("a list has no POST", f"POST {REPORTS}", 405, headers={"Allow": "GET, HEAD"}),
    Row("the list with a slash", f"GET {REPORTS}/", 200, text='"success": false'),
]


def test_the_gate_and_the_reports(client, subtests, site):
    walk(client, subtests, STORY, is_story=True)
    rows = {row["mac"]: row for row in client.get(REPORTS).json()}
    assert [(row["success"], row["confirmed"]) for row in rows.values()] == [
        (True, True),
        (False, True),
        (True, False),
    ]
    keys = {"mac", "fqdn", "cidrv4", "success", "confirmed", "created_date", "updated_date"}
    assert all(set(row) == keys for row in rows.values())


@pytest.mark.parametrize("bad", [*BAD_QUERIES, TWINS, query(UNKNOWN), "mac=%00", "a" * 3000])
def test_a_refused_query_takes_no_lock_and_writes_no_row(client, site, bad):
    before = StateChange.objects.count()
    for ask in (f"GET {GATE}/{bad}", f"POST {REPORTS}/success/{bad}"):
        status = {TWINS: 409, query(UNKNOWN): 404}.get(bad, 400)
        check(client, Row("refused", ask, status))
    assert not InstallAttempt.objects.exists()
    assert not InstallWaiter.objects.exists()
    assert not InstallReport.objects.exists()
    assert StateChange.objects.count() == before
    assert Event.objects.filter(kind="identity_conflict").exists() == (bad == TWINS)
    check(client, asks(WAITING, "the gate is still free"))
