"""What gunicorn is told to do with clients that fall silent."""

import resource
import socket
from types import SimpleNamespace

import pytest

from enjoliver.engine.processes import gunicorn_hooks


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def accepted(listener):
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    server.setblocking(True)  # as gunicorn does before it reads
    return client, server


def test_a_connection_waits_for_the_rest_of_a_request_and_then_gives_up(listener, monkeypatch):
    monkeypatch.setattr(gunicorn_hooks, "SILENCE_SECONDS", 1)
    gunicorn_hooks.when_ready(SimpleNamespace(LISTENERS=[SimpleNamespace(sock=listener)]))
    client, server = accepted(listener)
    with client, server:
        client.sendall(b"POST /discovery HTTP/1.1\r\nContent-Le")
        assert server.recv(1000).startswith(b"POST ")
        with pytest.raises(BlockingIOError):
            server.recv(1000)


def test_a_receiver_that_takes_nothing_is_dropped_in_the_end(listener):
    gunicorn_hooks.limit_silence(listener)
    client, server = accepted(listener)
    with client, server:
        limit = server.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert limit == gunicorn_hooks.STALL_SECONDS * 1000


def test_a_unix_socket_is_no_fault(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "web.sock"))
        gunicorn_hooks.limit_silence(listener)


@pytest.mark.parametrize(
    ("soft", "hard", "then"),
    [
        (1024, 524_288, 4096),
        (1024, 2048, 2048),
        (1024, resource.RLIM_INFINITY, 4096),
        (65_536, 524_288, 65_536),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY),
    ],
)
def test_all_connections_may_be_downloads_as_far_as_the_system_lets(monkeypatch, soft, hard, then):
    limits = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    gunicorn_hooks.allow_open_files()
    assert limits[-1] == (then, hard)
