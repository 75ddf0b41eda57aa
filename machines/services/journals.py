"""Boot journals: one row a boot, compressed, the newest few of each machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import zstandard
from django.utils import timezone

from machines.models import BootJournal, Machine

KEPT_PER_MACHINE = 20
MAX_UNPACKED = 64 * 1024 * 1024


def store_journal(*, machine: Machine, boot_id: str, lines: Sequence[str]) -> bool:
    """Keep the journal of one boot; a longer one of the same boot replaces it.

    A journal without a boot id is kept under a name made from its content. True when written.
    """
    if not lines:
        return False
    text = "\0".join(lines).encode("utf-8")
    digest = hashlib.sha256(text).hexdigest()
    boot_id = boot_id or f"unnamed-{digest[:12]}"
    rows = BootJournal.objects.filter(machine=machine, boot_id=boot_id)
    stored = rows.values_list("digest", flat=True).first()
    if stored == digest:
        return False
    body = {
        "line_count": len(lines),
        "lines_zstd": zstandard.ZstdCompressor(level=9).compress(text),
        "digest": digest,
    }
    if stored is not None:
        rows.update(**body)
    else:
        BootJournal.objects.create(
            machine=machine, boot_id=boot_id, created_at=timezone.now(), **body
        )
        _drop_old(machine)
    return True


def journal_lines(journal: BootJournal) -> list[str]:
    """The lines of a stored journal."""
    unpacker = zstandard.ZstdDecompressor()
    text = unpacker.decompress(bytes(journal.lines_zstd), max_output_size=MAX_UNPACKED)
    return text.decode("utf-8").split("\0")


def _drop_old(machine: Machine) -> None:
    kept = BootJournal.objects.filter(machine=machine).order_by("-created_at", "-pk")
    old = list(kept.values_list("pk", flat=True)[KEPT_PER_MACHINE:])
    if old:
        BootJournal.objects.filter(pk__in=old).delete()
