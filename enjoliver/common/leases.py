"""Leases: one worker at a time does a named piece of work, and a dead worker does not block it.

A task is only a hint, so two workers may start the same work at once. A lease makes the second
one leave quietly. It says nothing about correctness: whoever writes still uses compare-and-swap.
"""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path

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
    """Yield the lease `name`, or None when another worker has it; gives it back at the end.

    The lease of a process of this machine that is gone counts as free: the work that a killed
    worker left is taken up at once, not after the deadline.
    """
    owner = f"{socket.gethostname()[:20]}:{_process_space()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    now = timezone.now()
    deadline = now + timedelta(seconds=seconds)
    lease, _ = Lease.objects.get_or_create(name=name, defaults={"expires_at": now})
    # A deadline further away than a lease can be long comes from a clock that stepped back.
    is_free = (
        models.Q(owner="")
        | models.Q(expires_at__lte=now)
        | models.Q(expires_at__gt=now + timedelta(seconds=10 * seconds))
    )
    if _is_gone(lease.owner):
        is_free |= models.Q(owner=lease.owner)
    taken = Lease.objects.filter(is_free, name=name).update(owner=owner, expires_at=deadline)
    if not taken:
        yield None
        return
    try:
        yield HeldLease(name, owner, seconds)
    finally:
        Lease.objects.filter(name=name, owner=owner).update(owner="", expires_at=timezone.now())


@cache
def _process_space() -> str:
    """Names the kernel and PID namespace (pid_namespaces(7)) in which our process ids count."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return uuid.uuid4().hex[:12]  # then only deadlines tell
    return hashlib.sha256((boot + namespace).encode()).hexdigest()[:12]


def _is_gone(owner: str) -> bool:
    """True when `owner` was a process here and no process has its id any more."""
    space, _, process = owner.partition(":")[2].rpartition(":")[0].partition(":")
    if space != _process_space() or not process.isdecimal():
        return False
    return not Path(f"/proc/{process}").exists()


def beat(name: str, detail: str = "") -> None:
    """Write that the part `name` is alive now."""
    Heartbeat.objects.update_or_create(
        name=name, defaults={"at": timezone.now(), "detail": detail[:200]}
    )
