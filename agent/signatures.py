"""What the bytes of a disk say: signatures of data, and the claim of a machine that installs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_MIB = 1 << 20
HEAD_BYTES = _MIB
CLAIM_BYTES = 512
_CLAIM = b"ENJOLIVER-INSTALL "

# Offsets and marks as libblkid knows them (util-linux, libblkid/src/superblocks and partitions).
_MARKS: tuple[tuple[str, int, bytes], ...] = (
    ("a partition table (GPT)", 512, b"EFI PART"),
    ("a partition table (GPT, 4 KiB sectors)", 4096, b"EFI PART"),
    ("XFS", 0, b"XFSB"),
    ("ext2, ext3 or ext4", 0x438, b"\x53\xef"),
    ("btrfs", 0x10040, b"_BHRfS_M"),
    ("swap", 4086, b"SWAPSPACE2"),
    ("swap", 65526, b"SWAPSPACE2"),
    ("LUKS", 0, b"LUKS\xba\xbe"),
    ("an LVM volume", 0, b"LABELONE"),
    ("an LVM volume", 512, b"LABELONE"),
    ("an LVM volume", 1024, b"LABELONE"),
    ("an LVM volume", 1536, b"LABELONE"),
    ("a RAID member (md 1.1)", 0, b"\xfc\x4e\x2b\xa9"),
    ("a RAID member (md 1.2)", 4096, b"\xfc\x4e\x2b\xa9"),
    ("bcache", 4120, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
    ("Ceph BlueStore", 0, b"bluestore block device"),
    ("Oracle ASM", 32, b"ORCLDISK"),
    ("NTFS", 3, b"NTFS    "),
    ("exFAT", 3, b"EXFAT   "),
    ("ISO 9660", 0x8001, b"CD001"),
    ("squashfs", 0, b"hsqs"),
    ("F2FS", 1024, b"\x10\x20\xf5\xf2"),
    # Last, since boot sectors of other kinds carry it too.
    ("a boot record or partition table", 510, b"\x55\xaa"),
)
# RAID marks and a second partition table near the end: (name, distance from the end, mark).
_TAIL_MARKS: tuple[tuple[str, int, bytes], ...] = (
    ("a partition table (second GPT)", 512, b"EFI PART"),
    ("a partition table (second GPT, 4 KiB sectors)", 4096, b"EFI PART"),
    ("a RAID member (Intel firmware)", 1024, b"Intel Raid ISM Cfg Sig. "),
    ("a RAID member (Intel firmware)", 8192, b"Intel Raid ISM Cfg Sig. "),
    *(
        ("a RAID member (DDF firmware)", back, mark)
        for back in (512, 257 * 512)
        for mark in (b"\xde\x11\xde\x11", b"\x11\xde\x11\xde")
    ),
)
_ZFS = (b"\x0c\xb1\xba\x00\x00\x00\x00\x00", b"\x00\x00\x00\x00\x00\xba\xb1\x0c")
_MD_ENDS = (b"\xfc\x4e\x2b\xa9", b"\xa9\x2b\x4e\xfc")


@dataclass(frozen=True, slots=True)
class Probe:
    """The first bytes of a disk, the signatures on it, and the UUID of the machine it claims."""

    head: bytes
    signatures: tuple[str, ...]
    claimed_by: str = ""


def find_signatures(head: bytes, tail: bytes) -> tuple[str, ...]:
    """The kinds of data in the first and the last MiB of a disk."""
    found = [name for name, at, mark in _MARKS if head[at : at + len(mark)] == mark]
    found += [name for name, back, mark in _TAIL_MARKS if _at_end(tail, back, len(mark)) == mark]
    # ZFS keeps two labels at the start and two at the end; a disk may have lost either.
    if any(head[at : at + 8] in _ZFS for at in range(128 << 10, 512 << 10, 1024)):
        found.append("a ZFS member")
    if any(tail[at : at + 8] in _ZFS for at in range(0, len(tail), 512)):
        found.append("a ZFS member (at the end)")
    # md 0.90 lies at a multiple of 64 KiB, md 1.0 at one of 4 KiB, both near the end.
    if any(tail[at : at + 4] in _MD_ENDS for at in range(0, len(tail), 512)):
        found.append("a RAID member (md at the end)")
    if not found and head.strip(b"\0") and head.strip(b"\xff"):
        found.append("bytes of an unknown kind in its first MiB; zero them if they are no data")
    return tuple(dict.fromkeys(found))


def _at_end(tail: bytes, back: int, size: int) -> bytes:
    start = len(tail) - back
    return tail[start : start + size] if start >= 0 else b""


def probe(device: Path) -> Probe:
    """Read a disk's first and last MiB, and its claim; raises OSError."""
    with device.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        head = _read_at(file.fileno(), 0, HEAD_BYTES)
        tail = _read_at(file.fileno(), max(0, size - _MIB), _MIB)
        claim = _read_at(file.fileno(), _claim_at(size), CLAIM_BYTES)
    return Probe(head, find_signatures(head, tail), parse_claim(claim))


def _read_at(handle: int, at: int, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := os.pread(handle, size - len(data), at + len(data))):
        data += piece
    return data


def _claim_at(size: int) -> int:
    """A place that no partition table uses, and that an image written from the start spares."""
    return max(0, (size - 2 * _MIB) // 4096 * 4096)


def parse_claim(block: bytes) -> str:
    """The UUID in a claim; "" when the block is none."""
    if not block.startswith(_CLAIM):
        return ""
    return block[len(_CLAIM) :].split(b"\n")[0][:36].decode("ascii", "replace")


def claim_block(uuid: str) -> bytes:
    """What is written: the machine says that it installs itself here."""
    text = _CLAIM + uuid.encode() + b"\nThis machine installs itself on this disk.\n"
    return text.ljust(CLAIM_BYTES, b"\0")


def write_claim(device: Path, uuid: str) -> None:
    """Say on the disk itself whose install begins; raises OSError.

    The agent's memory of the discovery system is gone after a loss of power; this is not.
    """
    handle = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
    try:
        size = os.lseek(handle, 0, os.SEEK_END)
        os.pwrite(handle, claim_block(uuid), _claim_at(size))
        os.fsync(handle)
    finally:
        os.close(handle)
