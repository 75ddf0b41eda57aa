"""Downloads by the web server as `make run` starts it: who reads slowly keeps nobody waiting."""

import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from enjoliver.engine.tests.runs import running_engine, wait_until
from matchbox_sync.tests.fleet import mac_of, report_of, uuid_of

pytestmark = [pytest.mark.e2e, pytest.mark.once]

SECONDS = 120
HUGE = 4 << 30
CONTENT = bytes(range(256)) * 8_000
SLOW_READERS = 40  # five times as many as there are threads
AT_ONCE = 8
MIB = 1 << 20


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An engine with the default number of threads, and files to load from it."""
    state_dir = tmp_path_factory.mktemp("downloads") / "var"
    with running_engine(state_dir, {"ENJOLIVER_WEB_WORKERS": "2"}) as run:
        run.wait_until_up()
        assets = state_dir / "matchbox" / "assets"
        (assets / "initrd").write_bytes(CONTENT)
        with (assets / "huge").open("wb") as file:
            file.truncate(HUGE)
        yield run


@contextmanager
def connected(engine):
    made = http.client.HTTPConnection(engine.url.removeprefix("http://"), timeout=SECONDS)
    made.connect()
    try:
        yield made
    finally:
        made.close()


def ask(connection, method, path, body=None, **headers):
    """(status, headers, body) over a connection that is kept."""
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def status_of(engine, method, path, body=None, **headers):
    """The status of one request over its own connection."""
    with connected(engine) as connection:
        return ask(connection, method, path, body, **headers)[0]


@contextmanager
def slow_readers(engine, count, **headers):
    """Connections that ask for a huge file, take its first bytes, and then hold."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    host, _, port = engine.url.removeprefix("http://").partition(":")
    with ExitStack() as stack:
        readers = [
            stack.enter_context(socket.create_connection((host, int(port)), SECONDS))
            for _ in range(count)
        ]
        for reader in readers:
            reader.sendall(f"GET /assets/huge HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
        yield readers


def begins(reader):
    """The status with which a download begins."""
    with reader.makefile("rb", buffering=0) as answer:
        return int(answer.readline().split()[1])


def open_assets(engine):
    """How many files below the assets the web server's processes have open."""
    folder = f"{engine.state_dir / 'matchbox' / 'assets'}/"
    processes = engine.leader("gunicorn").children()
    return sum(file.path.startswith(folder) for one in processes for file in one.open_files())


def own_memory(engine):
    """Bytes that the web server's processes share with nobody."""
    return sum(one.memory_full_info().uss for one in engine.leader("gunicorn").children())


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=1000-"}], ids=["whole", "part"])
def test_readers_that_hold_keep_nobody_waiting(engine, headers):
    lock = {"client_params": {"id": "anybody", "group": "default"}}
    fleet_lock = {"fleet-lock-protocol": "true"}
    machine = f"uuid={uuid_of(1)}&mac={mac_of(1).replace(':', '-')}"
    digest = {"sha512": "0" * 128}
    with slow_readers(engine, SLOW_READERS, **headers) as readers:
        assert status_of(engine, "GET", "/livez") == 200
        assert status_of(engine, "POST", "/discovery", report_of(1)) == 200
        assert status_of(engine, "POST", f"/lifecycle/ignition/{machine}", digest) == 210
        assert status_of(engine, "POST", "/v1/pre-reboot", lock, **fleet_lock) == 200
        assert status_of(engine, "POST", "/v1/steady-state", lock, **fleet_lock) == 200
        assert status_of(engine, "GET", "/assets/initrd") == 200
        assert {begins(reader) for reader in readers} == {206 if headers else 200}
    wait_until(lambda: open_assets(engine) == 0, "files of lost readers are closed")


def test_downloads_take_no_memory_whatever_their_size(engine):
    for _ in range(20):
        assert status_of(engine, "GET", "/assets/initrd") == 200
    before = own_memory(engine)
    with slow_readers(engine, SLOW_READERS) as readers, connected(engine) as connection:
        assert {begins(reader) for reader in readers} == {200}
        connection.request("GET", "/assets/huge", headers={"Range": f"bytes=0-{512 * MIB - 1}"})
        answer = connection.getresponse()
        while answer.read(MIB):
            pass
        assert answer.length == 0
        assert own_memory(engine) - before < 100 * MIB


def test_many_at_once_each_get_their_bytes(engine):
    def load(number):
        first, last = number * 1000, number * 1000 + 500_000
        asked = {"Range": f"bytes={first}-{last}"} if number % 2 else {}
        with connected(engine) as connection:
            status, headers, body = ask(connection, "GET", "/assets/initrd", **asked)
        expected = CONTENT[first : last + 1] if asked else CONTENT
        return status == (206 if asked else 200), body == expected, "ETag" in headers

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert set(pool.map(load, range(5 * AT_ONCE))) == {(True, True, True)}


def test_head_has_the_length_and_ends_with_it(engine):
    with connected(engine) as connection:
        status, headers, body = ask(connection, "HEAD", "/assets/huge")
    assert (status, headers["Content-Length"], body) == (200, str(HUGE), b"")


def test_who_wants_no_further_answer_gets_all_bytes_and_the_end(engine):
    host, _, port = engine.url.removeprefix("http://").partition(":")
    asked = b"GET /assets/initrd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection((host, int(port)), SECONDS) as reader:
        reader.sendall(asked)
        with reader.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert body == CONTENT


def test_the_next_request_may_be_sent_before_the_download_has_ended(engine):
    host, _, port = engine.url.removeprefix("http://").partition(":")
    asked = "GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n"
    with socket.create_connection((host, int(port)), SECONDS) as reader:
        reader.sendall(asked.format("/assets/initrd", "").encode())
        reader.sendall(asked.format("/livez", "Connection: close\r\n").encode())
        with reader.makefile("rb") as answers:
            everything = answers.read()
    assert everything.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert CONTENT + b"HTTP/1.1 200 OK\r\n" in everything
