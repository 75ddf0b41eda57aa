"""gunicorn's threads for requests, one sender for the bytes of files.

A download lasts for minutes, a request for milliseconds. gunicorn's gthread keeps a thread for
both, so a few machines that load their kernel would make everybody else wait (decision 0016).
Here the thread answers the request and sends the headers; the bytes that follow are the sender's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from gunicorn.http.wsgi import FileWrapper  # type: ignore[import-untyped]
from gunicorn.util import has_fileno  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]
from whitenoise.responders import SlicedFile

from enjoliver.engine.web.sender import FilePart, Sender

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Leave = Callable[[FilePart], None]


class FilesApart:
    """A WSGI application that is another one, but for the bytes of files: `leave` gets them."""

    def __init__(self, application: Application, leave: Leave) -> None:
        self._application = application
        self._leave = leave

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """PEP 3333."""
        headers: list[tuple[str, str]] = []

        def start(status: str, given: list[tuple[str, str]], exc_info: Any = None) -> Any:
            headers[:] = given
            return start_response(status, given, exc_info)

        answer = self._application(environ, start)
        descriptor = _descriptor_of(answer)
        if descriptor is None or environ["REQUEST_METHOD"] != "GET":
            return answer
        length = {name.lower(): value for name, value in headers}.get("content-length")
        if length is None:
            return answer
        return _HeadersOnly(answer, descriptor, int(length), self._leave)


def _descriptor_of(answer: Iterable[bytes]) -> int | None:
    """The descriptor behind an answer, at the first byte of its body; None for what is no file."""
    if not isinstance(answer, FileWrapper):
        return None
    file = answer.filelike
    if isinstance(file, SlicedFile):  # a range: it bounds the same file, as the length does
        file = file.fileobj
    return file.fileno() if has_fileno(file) else None


class _HeadersOnly:
    """An answer whose body is left to somebody else once its headers are sent."""

    def __init__(self, answer: Any, descriptor: int, length: int, leave: Leave) -> None:
        self._answer = answer
        self._descriptor = descriptor
        self._length = length
        self._leave = leave

    def __iter__(self) -> Iterator[bytes]:
        yield b""  # gunicorn sends the headers with the first piece, before it asks for another
        offset = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        self._leave(FilePart(os.dup(self._descriptor), offset, self._length))

    def close(self) -> None:
        """The end of the request for the application; its own descriptor is closed here."""
        self._answer.close()


class DownloadWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's gthread, whose downloads hold a connection and no thread.

    A connection counts as open (`nr_conns`) until its last byte is sent, as with gthread: their
    number is bounded, and a worker that stops waits for them within its grace.
    """

    def init_process(self) -> None:
        """Called once in the new process; returns when the worker ends."""
        self._left = threading.local()
        self._parts: dict[Any, FilePart] = {}
        self._sender = Sender()
        self._sender.start()
        super().init_process()

    def load_wsgi(self) -> None:
        """The application; as it is where bytes must not go to the socket as they are."""
        super().load_wsgi()
        cfg = self.cfg
        if not (cfg.is_ssl or "h2" in cfg.http_protocols or cfg.sendfile is False):
            self.wsgi: Any = FilesApart(self.wsgi, self._leave)

    def _leave(self, part: FilePart) -> None:
        self._left.part = part

    def handle(self, conn: Any) -> Any:
        """One request, in one of the threads."""
        self._left.part = None
        result = super().handle(conn)
        if self._left.part is not None:
            self._parts[conn] = self._left.part
        return result

    def finish_request(self, conn: Any, fs: Any) -> None:
        """After `handle`, in the main thread: the connection waits, ends or goes to the sender."""
        part = self._parts.pop(conn, None)
        if part is None:
            super().finish_request(conn, fs)
            return
        ended = partial(self.method_queue.defer, self._finish_download, conn, fs)
        self._sender.send(conn.sock, part, ended)

    def _finish_download(self, conn: Any, fs: Any, is_whole: bool) -> None:
        if is_whole and fs.result():
            super().finish_request(conn, fs)  # kept for the next request
            return
        # Not gunicorn's graceful end: it would wait here for a receiver that still reads.
        self.nr_conns -= 1
        conn.close()
