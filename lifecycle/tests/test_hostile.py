"""Nothing an outsider can send gives a 500, on any route of lifecycle."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lifecycle.tests.factories import desire, query_of
from machines.tests.factories import MachineFactory

pytestmark = pytest.mark.django_db
QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([2**63, -(2**70), 10**400, "\0", "\ud800", "x" * 70_000])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["sha512", "ignition", "strategy", "\0"]), inner)
    ),
    max_leaves=6,
)
LOCKS = st.fixed_dictionaries(
    {"client_params": st.fixed_dictionaries({"id": VALUES, "group": VALUES})}
)
WORDS = st.fixed_dictionaries(
    {"verb": st.just("report"), "step": VALUES},
    optional={"reason": VALUES, "since": VALUES | st.datetimes().map(str), "boot_id": VALUES},
)
BODIES = st.binary(max_size=300) | (VALUES | LOCKS).map(json.dumps).map(str.encode)
SEGMENTS = st.text(
    st.characters(exclude_characters="/?#", exclude_categories=["Cs"]), min_size=1, max_size=80
)
PARTS = st.dictionaries(
    st.sampled_from(["mac", "uuid", "os", "x"]), st.text(st.characters(exclude_categories=["Cs"]))
)
ROUTES = [
    ("GET", "/install-authorization/{}"),
    ("POST", "/lifecycle/coreos-install/success/{}"),
    ("POST", "/lifecycle/coreos-install/{}/mac=52-54-00-00-00-01"),
    ("POST", "/lifecycle/ignition/{}"),
    ("POST", "/lifecycle/progress/{}"),
    ("GET", "/lifecycle/rolling/{}"),
    ("POST", "/lifecycle/rolling/{}"),
    ("DELETE", "/lifecycle/rolling/{}"),
]


@pytest.fixture
def machine():
    machine = MachineFactory.create()
    desire(machine, b"{}")
    return machine


@pytest.mark.parametrize(("method", "route"), ROUTES)
@QUICK
@given(segment=SEGMENTS, body=BODIES)
@example(segment="%00", body=b"")
@example(segment="mac=52-54-00-00-00-01%00", body=b"\0")
@example(segment="mac=" + "5" * 5000, body=b"")
@example(segment="..", body=b"")
def test_any_segment_is_answered(admin_client, method, route, segment, body):
    answer = admin_client.generic(method, route.format(segment), body)
    assert answer.status_code < 500


@pytest.mark.parametrize(("method", "route"), ROUTES)
@QUICK
@given(parts=PARTS)
def test_any_query_is_answered_and_takes_nothing_without_a_machine(
    admin_client, method, route, parts
):
    query = "&".join(f"{name}={value}" for name, value in parts.items()).replace("/", "")
    answer = admin_client.generic(method, route.format(query or "x"))
    assert 400 <= answer.status_code < 500


@QUICK
@given(body=BODIES)
@example(body=b'{"sha512": "' + b"a" * 128 + b'"}')
@example(body=b'{"ignition": 1e999}')
@example(body=b"[" * 50_000)
@example(body=b'{"a":' * 900 + b"1" + b"}" * 900)
def test_any_report_is_answered(client, machine, body):
    answer = client.generic("POST", f"/lifecycle/ignition/{query_of(machine)}", body)
    assert answer.status_code in (200, 210, 406)


@QUICK
@given(body=BODIES | WORDS.map(json.dumps).map(str.encode))
def test_any_word_of_an_agent_is_answered(client, machine, body):
    answer = client.generic("POST", f"/lifecycle/progress/{query_of(machine)}", body)
    assert answer.status_code in (200, 400, 413)


@QUICK
@given(body=BODIES)
def test_any_strategy_is_answered(admin_client, machine, body):
    answer = admin_client.generic("POST", f"/lifecycle/rolling/{query_of(machine)}", body)
    assert answer.status_code in (200, 406)


@pytest.mark.parametrize("path", ["/v1/pre-reboot", "/v1/steady-state"])
@QUICK
@given(body=BODIES | LOCKS.map(json.dumps).map(str.encode))
def test_any_lock_request_is_answered(client, path, body):
    answer = client.generic("POST", path, body, headers={"fleet-lock-protocol": "true"})
    assert answer.status_code in (200, 400, 409)


@QUICK
@given(header=st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=60))
def test_any_attempt_header_is_answered(client, machine, header):
    answer = client.post(
        f"/lifecycle/coreos-install/success/{query_of(machine)}",
        headers={"X-Enjoliver-Attempt": header},
    )
    assert answer.status_code == 200
