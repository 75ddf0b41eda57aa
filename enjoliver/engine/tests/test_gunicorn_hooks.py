"""What gunicorn is told to do with clients that fall silent."""

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
