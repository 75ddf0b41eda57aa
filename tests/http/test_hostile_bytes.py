"""Nothing an outsider can send gives a 500: any bytes, in any place, on every route."""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from machines.tests.factories import document, mac_of, uuid_of
from tests.http.places import METHODS, QUERY, ROUTES, asks, name, path_of
from tests.http.wsgi import Call, send

pytestmark = pytest.mark.django_db
EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "25"))
QUICK = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# --- what is sent --------------------------------------------------------------------------------
HARD_TEXTS = st.sampled_from(
    [
        "",
        "..",
        "../..",
        "%2e%2e%2f",
        "%00",
        "a" * 300,
        "a" * 9000,
        "\u202e",
        "\U0001f427" * 70,
        "ß",
        "٣",
        "-1",
        "0",
        str(2**63),
        "9" * 400,
        "1e999",
        "NaN",
        "null",
        "' OR 1=1 --",
        "{{ 7*7 }}",
        "{{.x}}",
        "$(id)",
        "http://169.254.169.254/",
        "%s%n",
        "etcd-member&etcd-member",
        "&".join(["etcd-member"] * 50),
        uuid_of(1),
        mac_of(1),
        QUERY,
        QUERY.replace("mac", "MAC"),
        f"mac={mac_of(1)}&mac=",
        f"mac={mac_of(2)}&uuid={uuid_of(1)}",
    ]
)
TEXTS = HARD_TEXTS | st.text(max_size=60)
PIECES = (TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))) | st.binary(max_size=60)
QUERIES = PIECES | st.lists(
    st.tuples(
        st.sampled_from(
            [b"mac", b"uuid", b"os", b"serial", b"hostname", b"data_since_last_min", b"x"]
        ),
        PIECES,
    ),
    max_size=5,
).map(lambda pairs: b"&".join(key + b"=" + value for key, value in pairs))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | TEXTS
    | st.sampled_from(["\0", "\ud800", 10**400, "x" * 70_000])
)
KEYS = st.sampled_from(
    [
        "boot-info",
        "interfaces",
        "disks",
        "lldp",
        "roles",
        "selector",
        "mac",
        "uuid",
        "strategy",
        "sha512",
        "client_params",
        "id",
        "group",
        "ignition",
        "kubernetes-node",
        "verb",
        "step",
        "reason",
        "since",
        "\0",
        "\ud800",
        "",
    ]
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
USEFUL = st.sampled_from(
    [
        document(1),
        {"roles": ["kubernetes-node"], "selector": {"mac": mac_of(3)}},
        {"strategy": "reboot"},
        {"sha512": "0" * 128},
        {"verb": "report", "step": "up to date", "reason": "", "since": "2026-01-05T12:00:00Z"},
        {"client_params": {"id": "a", "group": "default"}},
        {"kubernetes-node": "text"},
    ]
)


def spoil(pair):
    """`document` with the value at one place, chosen by `pick`, replaced."""
    whole, value, pick = pair
    whole = json.loads(json.dumps(whole))
    place = whole
    while True:
        keys = list(range(len(place))) if isinstance(place, list) else list(place)
        key = keys[pick % len(keys)]
        pick //= len(keys)
        if not isinstance(place[key], (dict, list)) or not place[key] or pick % 3 == 0:
            place[key] = value
            return whole
        place = place[key]


SPOILED = st.tuples(USEFUL, DOCUMENTS, st.integers(0, 10**6)).map(spoil)
BODIES = (
    st.binary(max_size=200)
    | (DOCUMENTS | SPOILED).map(lambda value: json.dumps(value).encode())
    | SPOILED.map(
        lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    )
    | st.sampled_from([b"[" * 100_000, b'{"a":' * 20_000, b"1" * 5000, b'"\\ud800"', b"\xff\xfe"])
)
HEADER_NAMES = st.sampled_from(
    [
        "HTTP_ACCEPT",
        "HTTP_AUTHORIZATION",
        "HTTP_COOKIE",
        "HTTP_HOST",
        "HTTP_IF_NONE_MATCH",
        "HTTP_IF_MODIFIED_SINCE",
        "HTTP_RANGE",
        "HTTP_IF_RANGE",
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_ENJOLIVER_ATTEMPT",
        "HTTP_FLEET_LOCK_PROTOCOL",
        "HTTP_ACCEPT_LANGUAGE",
        "HTTP_ORIGIN",
        "HTTP_REFERER",
        "HTTP_X_CSRFTOKEN",
        "CONTENT_TYPE",
        "CONTENT_LENGTH",
        "HTTP_TRANSFER_ENCODING",
    ]
)
HEADER_VALUES = st.sampled_from(
    [
        "",
        "*",
        "*/*",
        "text/html",
        "text/html;q=x",
        "true",
        "bytes=0-",
        "bytes=5-2",
        "bytes=-0",
        "bytes=0-1,2-3",
        "bytes=" + "9" * 400 + "-",
        "sessionid=x; csrftoken=y",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 300,
        "application/json; charset=nonsense",
        "application/x-www-form-urlencoded; charset=utf-16",
        "Basic Og==",
        "Token x",
        "10.0.0.1, ::1%eth0, x",
        "-1",
        "Thu, 99 Nov 99999 99:99:99 GMT",
        str(uuid_of(1)),
    ]
) | st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"))
HEADERS = st.dictionaries(HEADER_NAMES, HEADER_VALUES, max_size=4) | st.fixed_dictionaries(
    {"HTTP_FLEET_LOCK_PROTOCOL": st.just("true")}
)


def check(call):
    """No failure of ours; every refusal in the one shape."""
    answer = send(call)
    assert answer.status < 500 or answer.status in (501, 502, 503), f"{call}\n{answer.failure}"
    assert not answer.failure, f"{call}\n{answer.failure}"
    is_json = (answer.header("Content-Type") or "").startswith("application/json")
    if answer.status >= 400 and is_json and call.method != "HEAD":
        assert isinstance(json.loads(answer.body), dict), call
    return answer


# --- the routes ----------------------------------------------------------------------------------
PLACED = [ask for ask in asks() if ask[1].placeholders]
WRITING = [ask for ask in asks() if ask[0] != "GET"]


@pytest.mark.parametrize("ask", PLACED, ids=name)
def test_any_bytes_in_the_places_of_a_path(fleet, operator, ask):
    method, route = ask

    @QUICK
    @given(st.data())
    def run(data):
        path = path_of(route).encode()
        for place in route.placeholders:
            if data.draw(st.booleans() | st.just(True)):
                shape = path_of(route, **{place: "\ue000"}).encode()
                path = shape.replace("\ue000".encode(), data.draw(PIECES))
        check(Call(method, path, headers=operator))

    run()


@pytest.mark.parametrize("ask", asks(), ids=name)
def test_any_bytes_in_the_query_and_the_headers(fleet, operator, settings, tmp_path, ask):
    settings.STATE_DIR = tmp_path
    method, route = ask

    @QUICK
    @given(QUERIES, HEADERS)
    def run(query, headers):
        check(Call(method, path_of(route).encode(), query, headers={**operator, **headers}))

    run()


@pytest.mark.parametrize("ask", WRITING, ids=name)
def test_any_bytes_in_the_body(fleet, operator, settings, tmp_path, ask):
    settings.STATE_DIR = tmp_path
    method, route = ask

    @settings_of(EXAMPLES * 3)
    @given(BODIES, HEADERS)
    def run(body, headers):
        headers = {name: value for name, value in headers.items() if name != "CONTENT_LENGTH"}
        path = path_of(route).encode()
        check(Call(method, path, body=body, headers={**operator, **headers}))

    run()


def settings_of(examples):
    """QUICK with another number of examples."""
    return settings(QUICK, max_examples=examples)


def test_any_path_with_any_method(fleet):
    prefixes = [b"", b"/", b"//", *(path_of(route).encode() for route in ROUTES)]

    @settings_of(EXAMPLES * 8)
    @given(
        st.sampled_from(METHODS) | st.text("ABCXYZ-_", min_size=1, max_size=20),
        st.sampled_from(prefixes),
        PIECES,
        QUERIES,
    )
    def run(method, prefix, piece, query):
        check(Call(method, b"/" + prefix.lstrip(b"/") + piece, query))

    run()


def test_any_path_below_the_console(fleet, admin_client):
    cookie = {"HTTP_COOKIE": "; ".join(f"{k}={m.value}" for k, m in admin_client.cookies.items())}
    places = [b"", b"machines/machine/", b"machines/machine/1/change/", b"auth/user/", b"jsi18n/"]

    @settings_of(EXAMPLES * 4)
    @given(st.sampled_from(places), PIECES, QUERIES)
    def run(place, piece, query):
        answer = send(Call("GET", b"/admin/" + place + piece, query, headers=cookie))
        assert answer.status < 500, answer.failure

    run()
