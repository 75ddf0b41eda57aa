"""Sends files over connections, any number at once, from one thread: a slow reader holds nobody."""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

_BLOCK = 1024 * 1024
"""Bytes of one turn at most, so that a fast reader leaves the others theirs."""
_NO_SENDFILE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
"""What sendfile(2) answers on file systems that cannot do it; reading works there."""

Ended = Callable[[bool], None]
"""Told once, from the sender's thread: whether every byte was given to the kernel."""


@dataclass(slots=True)
class FilePart:
    """Bytes of an open file that are still to be sent. The descriptor is the part's own."""

    descriptor: int
    offset: int
    left: int

    def send_some(self, connection: socket.socket) -> bool:
        """Send what fits now; True when nothing more will follow.

        `left` is not 0 then if the file became shorter meanwhile. Raises BlockingIOError when
        nothing fits, OSError when the other side is gone or the file cannot be read.
        """
        count = min(self.left, _BLOCK)
        try:
            sent = os.sendfile(connection.fileno(), self.descriptor, self.offset, count)
        except OSError as error:
            if error.errno not in _NO_SENDFILE:
                raise
            sent = connection.send(os.pread(self.descriptor, count, self.offset))
        self.offset += sent
        self.left -= sent
        return sent == 0 or self.left == 0

    def close(self) -> None:
        """Give the descriptor back; called once."""
        os.close(self.descriptor)


class Sender(threading.Thread):
    """One thread and one epoll(7) for all files of a process.

    sendfile(2) works outside of Python's lock and takes no memory. A disk that hangs holds this
    thread, and with it downloads only.
    """

    def __init__(self) -> None:
        super().__init__(name="sender", daemon=True)
        self._epoll = select.epoll()
        self._under_way: dict[int, tuple[socket.socket, FilePart, Ended]] = {}

    def send(self, connection: socket.socket, part: FilePart, ended: Ended) -> None:
        """Begin to send; returns at once. The connection is ours alone until `ended` is called.

        It is non-blocking from then on, and stays open. The part is closed.
        """
        number = connection.fileno()
        self._under_way[number] = connection, part, ended
        try:
            connection.setblocking(False)
            # The kernel lets the other thread wait on it meanwhile.
            self._epoll.register(number, select.EPOLLOUT)
        except OSError:  # closed already
            self._end(number)

    def run(self) -> None:
        """Give each connection that takes something a turn, for ever."""
        while True:
            for number, _ in self._epoll.poll():
                self._turn(number)

    def _turn(self, number: int) -> None:
        connection, part, _ = self._under_way[number]
        try:
            if not part.send_some(connection):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # `left` tells it
        self._epoll.unregister(number)
        self._end(number)

    def _end(self, number: int) -> None:
        _, part, ended = self._under_way.pop(number)
        part.close()
        ended(part.left == 0)
