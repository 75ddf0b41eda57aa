"""Which answers leave their bytes to somebody else: files with a length, asked for with GET."""

import io
import os
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.http.wsgi import FileWrapper  # type: ignore[import-untyped]
from whitenoise.responders import SlicedFile

from enjoliver.engine.web.sender import FilePart
from enjoliver.engine.web.worker import DownloadWorker, FilesApart

CONTENT = b"0123456789"
LENGTH = ("Content-Length", "10")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    with path.open("rb") as opened:
        yield opened


def apart(answer, *headers, method="GET"):
    """The answer as gunicorn gets it, what it leaves, and what was told to start with."""
    left: list[FilePart] = []
    started: list[object] = []

    def application(environ, start_response):
        start_response("200 OK", list(headers))
        return answer

    given: Any = FilesApart(application, left.append)(
        {"REQUEST_METHOD": method}, lambda *told: started.append(told)
    )
    return given, left, started


def test_a_file_leaves_its_bytes_which_stay_open_when_it_is_closed(file):
    answer, left, started = apart(FileWrapper(file), LENGTH)
    assert started == [("200 OK", [LENGTH], None)]
    assert list(answer) == [b""]
    answer.close()
    assert file.closed
    (part,) = left
    assert (part.offset, part.left) == (0, 10)
    assert os.pread(part.descriptor, 100, 0) == CONTENT
    part.close()


def test_a_part_leaves_only_its_bytes(file):
    answer, left, _ = apart(FileWrapper(SlicedFile(file, 3, 6)), ("content-length", "4"))
    assert list(answer) == [b""]
    (part,) = left
    assert (part.offset, part.left) == (3, 4)
    part.close()


def test_nothing_is_left_before_the_headers_are_sent(file):
    answer, left, _ = apart(FileWrapper(file), LENGTH)
    assert next(iter(answer)) == b""
    answer.close()  # the client was gone
    assert left == []
    assert file.closed


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_other_methods_are_answered_as_before(file, method):
    answer, left, _ = apart(FileWrapper(file), LENGTH, method=method)
    assert (list(answer), left) == ([CONTENT], [])


def test_a_file_without_a_length_is_sent_as_before(file):
    answer, left, _ = apart(FileWrapper(file))
    assert (list(answer), left) == ([CONTENT], [])


@pytest.mark.parametrize("answer", [[b"text"], FileWrapper(io.BytesIO(b"text"))])
def test_what_is_no_file_is_sent_as_before(answer):
    answer, left, _ = apart(answer, ("Content-Length", "4"))
    assert (list(answer), left) == ([b"text"], [])


@pytest.mark.parametrize(
    ("setting", "is_apart"),
    [
        ({}, True),
        ({"sendfile": True}, True),
        ({"sendfile": False}, False),
        ({"is_ssl": True}, False),  # bytes must be encrypted
        ({"http_protocols": ["h2", "h1"]}, False),  # or framed
    ],
)
def test_files_go_apart_only_where_their_bytes_may_go_as_they_are(setting, is_apart):
    worker = DownloadWorker.__new__(DownloadWorker)
    usual = {"is_ssl": False, "http_protocols": ["h1"], "sendfile": None}
    worker.cfg = SimpleNamespace(**{**usual, **setting})
    worker.app = SimpleNamespace(wsgi=lambda: "the application")
    worker.load_wsgi()
    assert isinstance(worker.wsgi, FilesApart) is is_apart
