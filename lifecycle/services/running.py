"""What machines say that they run, for those who compare it with revisions."""

from __future__ import annotations

from collections.abc import Collection

from lifecycle.models import IgnitionReport


def running_digests(machine_ids: Collection[int]) -> dict[int, str]:
    """Machine id to the digest of what it runs: of the canonical form where that is known."""
    rows = IgnitionReport.objects.filter(pk__in=machine_ids)
    return {
        pk: canonical or sha512
        for pk, sha512, canonical in rows.values_list("pk", "sha512", "canonical_sha512")
    }
