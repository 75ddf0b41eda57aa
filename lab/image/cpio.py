"""Archives that a kernel unpacks as its first root, in the format `newc`.

https://docs.kernel.org/driver-api/early-userspace/buffer-format.html
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

ALIGNMENT = 512
"""Segments start at multiples of it; the kernel asks for 4 at least, and skips zeros between."""
_FOLDER, _FILE = 0o040755, 0o100644
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the archive: its path inside, its content or where that lies."""

    path: str
    content: bytes | Path
    is_executable: bool = False

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)


def write(output: BinaryIO, entries: Sequence[Entry]) -> None:
    """Write a whole archive, with the folders that lead to its files, and no times or owners."""
    number = 1
    for folder in _folders(entries):
        output.write(_header(folder, number, _FOLDER, 0))
        number += 1
    for entry in entries:
        mode = _FILE | (0o111 if entry.is_executable else 0)
        output.write(_header(entry.path, number, mode, entry.size))
        _write_content(output, entry)
        output.write(b"\0" * (-entry.size % 4))
        number += 1
    output.write(_header(_TRAILER, 0, 0, 0))
    pad(output)


def pad(output: BinaryIO) -> None:
    """Zeros up to the place where the next segment may start."""
    output.write(b"\0" * (-output.tell() % ALIGNMENT))


def _folders(entries: Sequence[Entry]) -> Iterator[str]:
    parents = {str(parent) for entry in entries for parent in Path(entry.path).parents}
    yield from sorted(parents - {"."})


def _write_content(output: BinaryIO, entry: Entry) -> None:
    if isinstance(entry.content, bytes):
        output.write(entry.content)
        return
    with entry.content.open("rb") as source:
        shutil.copyfileobj(source, output, 1 << 20)


def _header(path: str, number: int, mode: int, size: int) -> bytes:
    name = path.encode() + b"\0"
    # Magic, then: inode, mode, uid, gid, links, time, size, device, special device, name, check.
    numbers = (number, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in numbers) + name
    return head + b"\0" * (-len(head) % 4)
