"""Machine configs: render what changed in small batches, verify, and move the desired pointer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import rfc8785
from django.db import transaction
from django.utils import timezone

from machines.models import Machine
from matchbox_sync.compose import ComposedProfile
from matchbox_sync.documents import pack, sha512_of, store_documents
from matchbox_sync.models import DesiredConfig, MachineConfig, Revision
from matchbox_sync.renderer import PrivateMatchbox, Rendered, RenderFailure, ScratchGroup
from matchbox_sync.services.problems import Reports
from matchbox_sync.services.revisions import released
from matchbox_sync.services.versions import Prepared
from matchbox_sync.signals import desired_changed
from matchbox_sync.targets import Target
from matchbox_sync.verify import VerifyError, check_rendered, check_strict

BATCH = 24
"""Groups in the private matchbox at once: it parses all of them at every request."""

REUSE_BATCH = 200
"""Configs that are not rendered again: only the length of a transaction counts."""


@dataclass(frozen=True, slots=True)
class Change:
    """A machine whose config must be rendered. Its metadata is made again per batch: 10,000 of
    them at once would be a burden, and it is cheap."""

    target: Target
    fingerprint: str


def canonical_sha512(document: bytes) -> str:
    """SHA-512 of the document's RFC 8785 canonical form."""
    return sha512_of(rfc8785.dumps(json.loads(document)))


@dataclass(frozen=True, slots=True)
class Verified:
    """A rendered and verified config with the inputs that it was made from."""

    change: Change
    metadata: Mapping[str, Any]
    body: bytes


def render_batch(
    changes: Sequence[Change],
    *,
    metadata_of: Callable[[Target], Mapping[str, Any]],
    prepared: Prepared,
    matchbox: PrivateMatchbox,
    problems: Reports,
) -> dict[int, Verified]:
    """Render and verify one batch of one profile, by machine id.

    A machine that fails is reported and left out; it keeps its last good config.
    """
    metadata = {change.target.machine_id: metadata_of(change.target) for change in changes}
    groups = [
        ScratchGroup(str(c.target.machine_id), c.target.mac, metadata[c.target.machine_id])
        for c in changes
    ]
    answers = matchbox.render(prepared.composed, groups)
    good: dict[int, Verified] = {}
    for change in changes:
        machine_id = change.target.machine_id
        answer = answers[str(machine_id)]
        stage, reason = _check(prepared.composed, answer, is_sample=not good)
        if reason or isinstance(answer, RenderFailure):
            problems.report(
                stage=stage, profile=change.target.profile, machine_id=machine_id, message=reason
            )
        else:
            good[machine_id] = Verified(change, metadata[machine_id], answer.ignition)
    return good


def _check(
    composed: ComposedProfile, answer: Rendered | RenderFailure, *, is_sample: bool
) -> tuple[str, str]:
    """(stage, reason); an empty reason means good. One sample of a batch goes through Butane."""
    if isinstance(answer, RenderFailure):
        return answer.stage, answer.message
    try:
        check_rendered(composed, answer)
        if is_sample:
            check_strict(answer)
    except VerifyError as error:
        return "verify", str(error)
    return "", ""


def store_batch(
    good: Mapping[int, Verified], *, revision: Revision, prepared: Prepared
) -> list[int]:
    """Keep rendered documents and move the desired pointer of released machines.

    Returns the machine ids whose group must be published. One short transaction.
    """
    if not good:
        return []
    digests = {machine_id: sha512_of(one.body) for machine_id, one in good.items()}
    bodies = {digests[machine_id]: one.body for machine_id, one in good.items()}
    rows = [
        MachineConfig(
            machine_id=machine_id,
            revision=revision,
            version=prepared.version,
            fingerprint=one.change.fingerprint,
            mac=one.change.target.mac,
            document_id=digests[machine_id],
            canonical_sha512=canonical_sha512(one.body),
            metadata_zstd=pack(json.dumps(one.metadata, ensure_ascii=False).encode()),
        )
        for machine_id, one in good.items()
    ]
    with transaction.atomic():
        store_documents(bodies, base=prepared.version.document_id)
        _keep(rows, revision)
    return list(good)


def known_configs(changes: Sequence[Change]) -> dict[int, MachineConfig]:
    """What was rendered for these machines before from the same inputs, by machine id.

    One query for a batch; a rollback of thousands of machines renders nothing so.
    """
    wanted = {change.target.machine_id: change.fingerprint for change in changes}
    rows = MachineConfig.objects.filter(
        machine_id__in=wanted, fingerprint__in=set(wanted.values())
    ).order_by("pk")
    return {row.machine_id: row for row in rows if wanted[row.machine_id] == row.fingerprint}


def reuse_configs(
    known: Mapping[int, MachineConfig], *, revision: Revision, prepared: Prepared
) -> list[int]:
    """Keep known configs in a new revision, and move released machines; as `store_batch`."""
    rows = list(known.values())
    for row in rows:
        # The version is part of the fingerprint, so it is the one that is prepared now.
        row.pk, row.revision, row.version = None, revision, prepared.version
    with transaction.atomic():
        _keep(rows, revision)
    return list(known)


def _keep(rows: list[MachineConfig], revision: Revision) -> None:
    wanted = [row.machine_id for row in rows]
    # One that was released and forgotten since the run began must not stop the others.
    known = set(Machine.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    configs = MachineConfig.objects.bulk_create([row for row in rows if row.machine_id in known])
    machine_ids = [config.machine_id for config in configs]
    _move_desired(configs, revision)
    transaction.on_commit(
        partial(desired_changed.send_robust, sender=None, machine_ids=machine_ids)
    )


def _move_desired(configs: Sequence[MachineConfig], revision: Revision) -> None:
    machine_ids = [config.machine_id for config in configs]
    held = DesiredConfig.objects.filter(pk__in=machine_ids).select_related("config")
    # Locked, or what somebody moves meanwhile would be written back; in one order for everybody.
    locked = held.select_for_update(of=("self",)).order_by("pk")
    present = {row.pk: row for row in locked.defer("config__metadata_zstd")}
    open_ones = released(revision, machine_ids)
    now = timezone.now()
    rows = []
    for config in configs:
        row = present.get(config.machine_id)
        profile = config.version.profile
        if row and row.config.fingerprint == config.fingerprint:
            row.config = config  # the same config under a newer number: nothing moves
        # A new machine, or one with another role, has nothing older that it could be held at.
        elif row is None or row.profile != profile or config.machine_id in open_ones:
            row = DesiredConfig(
                machine_id=config.machine_id,
                config=config,
                previous=row.config if row else None,
                profile=profile,
                sha512=config.document_id,
                canonical_sha512=config.canonical_sha512,
                assigned_at=now,
            )
        row.newest = config
        rows.append(row)
    DesiredConfig.objects.bulk_create(
        sorted(rows, key=lambda row: row.machine_id),
        update_conflicts=True,
        unique_fields=["machine"],
        update_fields=[
            "config",
            "newest",
            "previous",
            "profile",
            "sha512",
            "canonical_sha512",
            "assigned_at",
        ],
    )
