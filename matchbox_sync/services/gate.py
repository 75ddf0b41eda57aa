"""The sync gate and the recorded templates."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from enjoliver.common.errors import NotAcceptable
from matchbox_sync.models import ReportedTemplate, SyncState
from scheduling.models import Cluster

MAX_TEMPLATES = 100
MAX_TEMPLATE_BYTES = 256 * 1024


def renew_gate(*, cluster: Cluster, now: datetime | None = None) -> datetime:
    """Say that the published configs are good as of now; returns the time stamp."""
    moment = now or timezone.now()
    SyncState.objects.update_or_create(cluster=cluster, defaults={"notified_at": moment})
    return moment


def record_template(*, name: str, content: Any) -> tuple[bool, int]:
    """Keep a template text for readers; returns (is new, how many are kept).

    Raises NotAcceptable (406) when it is too large or too many are kept already.
    """
    if len(json.dumps(content)) > MAX_TEMPLATE_BYTES:
        raise NotAcceptable(
            f"{name}: at most {MAX_TEMPLATE_BYTES} bytes are kept", fields={name: "too large"}
        )
    with transaction.atomic():
        exists = ReportedTemplate.objects.filter(name=name).exists()
        if not exists and ReportedTemplate.objects.count() >= MAX_TEMPLATES:
            raise NotAcceptable(
                f"{MAX_TEMPLATES} templates are recorded already", fields={name: "too many"}
            )
        _row, is_new = ReportedTemplate.objects.update_or_create(
            name=name, defaults={"content": content}
        )
    return is_new, ReportedTemplate.objects.count()
