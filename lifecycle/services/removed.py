"""A machine that an operator removes while it is talking to us: unknown, not an error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError

from enjoliver.common.errors import UnknownMachine
from machines.models import Machine


@contextmanager
def unknown_when_removed(machine_id: int) -> Iterator[None]:
    """Raise UnknownMachine for what fails inside because the machine's row is gone by now."""
    try:
        yield
    except (IntegrityError, Machine.DoesNotExist) as error:
        if Machine.objects.filter(pk=machine_id).exists():
            raise
        raise UnknownMachine("this machine was removed just now") from error
