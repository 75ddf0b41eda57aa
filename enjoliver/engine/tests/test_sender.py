"""Files over real sockets: whole, in part, to slow and to lost readers, from bad disks."""

import errno
import os
import queue
import socket
from contextlib import ExitStack

import psutil
import pytest

from enjoliver.engine.web.sender import FilePart, Sender

CONTENT = bytes(range(256)) * 20_000
SIZE = len(CONTENT)
HUGE = 1 << 30
SECONDS = 120


@pytest.fixture(scope="module")
def sender():
    one = Sender()
    one.start()
    return one


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def huge_file(tmp_path):
    """More than the kernel buffers; takes no room on the disk."""
    path = tmp_path / "huge"
    with path.open("wb") as made:
        made.truncate(HUGE)
    return path


@pytest.fixture
def connect():
    """Makes connected sockets, the server's and the reader's; all are closed at the end."""
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as listener:

        def make():
            reader = socket.create_connection(listener.getsockname(), timeout=SECONDS)
            server, _ = listener.accept()
            return stack.enter_context(server), stack.enter_context(reader)

        yield make


@pytest.fixture
def pair(connect):
    return connect()


class Download:
    """One download: `is_whole()` waits for its end."""

    def __init__(self, sender, connection, path, first=0, length=SIZE):
        self.path = path
        self._ended: queue.Queue[bool] = queue.Queue()
        part = FilePart(os.open(path, os.O_RDONLY), first, length)
        sender.send(connection, part, self._ended.put)

    def is_whole(self):
        return self._ended.get(timeout=SECONDS)

    def is_closed(self):
        return str(self.path) not in {entry.path for entry in psutil.Process().open_files()}


def read(reader, length):
    """`length` bytes, or fewer when the sender closed before."""
    found = bytearray()
    while len(found) < length and (piece := reader.recv(length - len(found))):
        found += piece
    return bytes(found)


@pytest.mark.parametrize(("first", "length"), [(0, SIZE), (0, 1), (1000, 2_000_000), (SIZE - 3, 3)])
def test_exactly_the_bytes_that_were_asked_for_are_sent(sender, pair, file, first, length):
    server, reader = pair
    download = Download(sender, server, file, first, length)
    assert read(reader, length) == CONTENT[first : first + length]
    assert download.is_whole()
    server.setblocking(True)
    server.sendall(b"next")  # still open, and nothing else was sent
    assert read(reader, 4) == b"next"


def test_nothing_to_send_ends_at_once(sender, pair, file):
    assert Download(sender, pair[0], file, 0, 0).is_whole()


def test_readers_that_hold_do_not_hold_others(sender, connect, file, huge_file):
    pairs = [connect() for _ in range(20)]
    held = [Download(sender, server, huge_file, 0, HUGE) for server, _ in pairs]
    assert all(read(reader, 10) == bytes(10) for _, reader in pairs)
    server, reader = connect()
    download = Download(sender, server, file)
    assert read(reader, SIZE) == CONTENT
    assert download.is_whole()
    for _, reader in pairs:
        reader.close()
    assert [one.is_whole() for one in held] == [False] * 20


def test_a_reader_that_is_gone_ends_its_download_and_frees_the_file(sender, pair, huge_file):
    server, reader = pair
    reader.close()
    download = Download(sender, server, huge_file, 0, HUGE)
    assert not download.is_whole()
    assert download.is_closed()


def test_a_connection_that_is_closed_already_is_a_download_that_ended(sender, file):
    closed = socket.socket()
    closed.close()
    download = Download(sender, closed, file)
    assert not download.is_whole()
    assert download.is_closed()


def test_a_file_that_became_shorter_is_told_as_not_whole(sender, pair, file):
    server, reader = pair
    download = Download(sender, server, file, 0, SIZE + 1)
    assert read(reader, SIZE) == CONTENT
    assert not download.is_whole()


def test_where_sendfile_does_not_work_the_file_is_read(sender, pair, file, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EINVAL, "not on this file system")

    monkeypatch.setattr(os, "sendfile", refuse)
    server, reader = pair
    download = Download(sender, server, file, 100, 3_000_000)
    assert read(reader, 3_000_000) == CONTENT[100 : 100 + 3_000_000]
    assert download.is_whole()


def test_a_disk_that_fails_ends_the_download_and_not_the_sender(sender, pair, file, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    server, reader = pair
    with monkeypatch.context() as patched:
        patched.setattr(os, "sendfile", fail)
        assert not Download(sender, server, file).is_whole()
    assert Download(sender, server, file, 0, 5).is_whole()
    assert read(reader, 5) == CONTENT[:5]
