"""Leases: one worker at a time does a named piece of work, and a dead worker does not block it.

A task is only a hint, so two workers may start the same work at once. A lease makes the second
one leave quietly. It says nothing about correctness: whoever writes still uses compare-and-swap.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import models
from django.utils import timezone

from enjoliver.common.models import Heartbeat, Lease


class LeaseLost(Exception):
    """Another worker took the lease because this one was silent past its deadline."""


class HeldLease:
    """A lease in hand; `renew()` must be called more often than `seconds`."""

    def __init__(self, name: str, owner: str, seconds: float) -> None:
        self.name, self.owner, self.seconds = name, owner, seconds

    def renew(self) -> None:
        """Push the deadline; raises LeaseLost when somebody else owns the lease by now."""
        mine = Lease.objects.filter(name=self.name, owner=self.owner)
        if not mine.update(expires_at=timezone.now() + timedelta(seconds=self.seconds)):
            raise LeaseLost(self.name)


@contextmanager
def hold_lease(name: str, *, seconds: float = 30.0) -> Iterator[HeldLease | None]:
    """Yield the lease `name`, or None when another worker has it; gives it back at the end."""
    owner = f"{socket.gethostname()[:20]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    now = timezone.now()
    deadline = now + timedelta(seconds=seconds)
    Lease.objects.get_or_create(name=name, defaults={"expires_at": now})
    # A deadline further away than a lease can be long comes from a clock that stepped back.
    is_free = (
        models.Q(owner="")
        | models.Q(expires_at__lte=now)
        | models.Q(expires_at__gt=now + timedelta(seconds=10 * seconds))
    )
    taken = Lease.objects.filter(is_free, name=name).update(owner=owner, expires_at=deadline)
    if not taken:
        yield None
        return
    try:
        yield HeldLease(name, owner, seconds)
    finally:
        Lease.objects.filter(name=name, owner=owner).update(owner="", expires_at=timezone.now())


def beat(name: str, detail: str = "") -> None:
    """Write that the part `name` is alive now."""
    Heartbeat.objects.update_or_create(
        name=name, defaults={"at": timezone.now(), "detail": detail[:200]}
    )
