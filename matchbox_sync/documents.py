"""Documents: content-addressed bodies, compressed against the common part of their role."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache

import zstandard

from matchbox_sync.models import Document

_LEVEL = 6


def sha512_of(body: bytes) -> str:
    """The digest that machines report: lower-case hex SHA-512 of the exact bytes."""
    return hashlib.sha512(body).hexdigest()


def pack(body: bytes, dictionary: zstandard.ZstdCompressionDict | None = None) -> bytes:
    """Compress with zstd, optionally against a dictionary."""
    return zstandard.ZstdCompressor(level=_LEVEL, dict_data=dictionary).compress(body)


def unpack(
    data: bytes | memoryview, dictionary: zstandard.ZstdCompressionDict | None = None
) -> bytes:
    """Undo `pack`."""
    return zstandard.ZstdDecompressor(dict_data=dictionary).decompress(bytes(data))


@lru_cache(maxsize=32)
def _dictionary(base_sha512: str) -> zstandard.ZstdCompressionDict:
    # Content-addressed, so a cached one can never be stale.
    data = Document.objects.values_list("data", flat=True).get(pk=base_sha512)
    return zstandard.ZstdCompressionDict(unpack(data), dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def store_documents(bodies: Mapping[str, bytes], *, base: str | None = None) -> None:
    """Keep `bodies` (by SHA-512), compressed against the stored document `base` if given.

    Bodies that are known already are left as they are.
    """
    known = set(Document.objects.filter(pk__in=bodies).values_list("pk", flat=True))
    rows = [
        Document(
            sha512=digest,
            base_id=None if digest == base else base,
            data=pack(body, _dictionary(base) if base and digest != base else None),
            size=len(body),
        )
        for digest, body in bodies.items()
        if digest not in known
    ]
    Document.objects.bulk_create(rows, ignore_conflicts=True)


def unpack_document(data: bytes | memoryview, base_sha512: str | None) -> bytes:
    """The body of a Document row whose columns were already read."""
    return unpack(data, _dictionary(base_sha512) if base_sha512 else None)


def load_document(sha512: str) -> bytes:
    """The body with this digest; raises Document.DoesNotExist."""
    data, base = Document.objects.values_list("data", "base_id").get(pk=sha512)
    return unpack_document(data, base)
