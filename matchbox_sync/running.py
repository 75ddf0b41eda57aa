"""Which revision each machine runs, as it says itself: an upper app knows the reports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from django.db.models import Q

from matchbox_sync.models import MachineConfig

RunningSource = Callable[[Collection[int]], Mapping[int, str]]


def _nobody_reports(machine_ids: Collection[int]) -> Mapping[int, str]:
    return {}


_source: RunningSource = _nobody_reports


def set_running_source(source: RunningSource) -> None:
    """Register who knows the SHA-512 of machines' running configs (an upper app's ready())."""
    global _source
    _source = source


def running_revisions(machine_ids: Collection[int]) -> dict[int, int]:
    """Machine id to the number of the newest revision whose config it reports to run.

    Machines that never reported, or run what no stored revision holds, are left out. Two queries.
    """
    digests = {pk: digest for pk, digest in _source(machine_ids).items() if digest}
    values = set(digests.values())
    rows = (
        MachineConfig.objects.filter(machine__in=digests)
        .filter(Q(document__in=values) | Q(canonical_sha512__in=values))
        .order_by("revision__number")
        .values_list("machine_id", "revision__number", "document_id", "canonical_sha512")
    )
    return {pk: number for pk, number, *found in rows if digests[pk] in found}
