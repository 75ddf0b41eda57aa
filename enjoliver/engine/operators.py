"""The first operator, so that a fresh engine can be entered: `admin`, with a kept password."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.db import transaction

FIRST_OPERATOR = "admin"
_GENERATED = "admin-password"
_APPLIED = "admin-password-applied"


@dataclass(frozen=True, slots=True)
class FirstOperator:
    """`password_file`: where a generated password is kept; None when it was configured or when
    the operator was made in another way."""

    name: str
    password_file: Path | None


def ensure_first_operator(*, state_dir: Path, configured_password: str) -> FirstOperator:
    """Make the operator `admin` when there is none, and apply a configured password that is new.

    A configured password is applied once: what the operator later sets in the console stays,
    until another password is configured. Raises OSError when the state directory is read-only.
    """
    if configured_password:
        _apply_configured(state_dir, configured_password)
        return FirstOperator(FIRST_OPERATOR, None)
    path = state_dir / _GENERATED
    with transaction.atomic():
        if not User.objects.filter(username=FIRST_OPERATOR).exists():
            _write_operator(_generated_password(path))
    return FirstOperator(FIRST_OPERATOR, path if path.exists() else None)


def _apply_configured(state_dir: Path, password: str) -> None:
    applied = state_dir / _APPLIED
    exists = User.objects.filter(username=FIRST_OPERATOR).exists()
    if exists and applied.exists() and check_password(password, applied.read_text().strip()):
        return
    _write_operator(password)
    _write_private(applied, make_password(password))
    (state_dir / _GENERATED).unlink(missing_ok=True)  # it no longer opens anything


def _generated_password(path: Path) -> str:
    """The password in the file; written first, so that no operator has one that nobody knows."""
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(16))
    return path.read_text().strip()


def _write_operator(password: str) -> None:
    User.objects.update_or_create(
        username=FIRST_OPERATOR,
        defaults={
            "password": make_password(password),
            "is_staff": True,
            "is_superuser": True,
            "is_active": True,
        },
    )


def _write_private(path: Path, text: str) -> None:
    """Replace a file in one step by one that only its owner can read."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
    draft.replace(path)
