"""MAC addresses and UUIDs: any common spelling in, one spelling stored."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

_MAC_SPELLINGS = re.compile(
    r"(?:[0-9a-f]{2}(?::[0-9a-f]{2}){5}"
    r"|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}"
    r"|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}"
    r"|[0-9a-f]{12})",
    re.IGNORECASE | re.ASCII,
)
_UUID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII
)


def normalise_mac(text: str) -> str:
    """Return `text` as lower-case hex with colons.

    Accepts colons, dashes, Cisco's dots and bare hex in any case; raises ValueError else.
    """
    if not _MAC_SPELLINGS.fullmatch(text):
        raise ValueError(f"{text[:64]!r} is not a MAC address")
    digits = re.sub("[^0-9a-f]", "", text.lower())
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def normalise_uuid(text: str) -> str:
    """Return the SMBIOS UUID `text` (8-4-4-4-12 hex digits) lower-case; raises ValueError else.

    Version and variant bits are not checked: firmware ships UUIDs that have none.
    """
    if not _UUID.fullmatch(text):
        raise ValueError(f"{text[:64]!r} is not a UUID (8-4-4-4-12 hex digits)")
    return text.lower()


class MACAddressField(models.CharField[str, str]):
    """A MAC address, stored lower-case with colons whatever spelling was given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 17)
        super().__init__(*args, **kwargs)

    def to_python(self, value: Any) -> Any:
        if value in (None, ""):
            return value
        try:
            return normalise_mac(str(value))
        except ValueError as error:
            raise ValidationError(str(error), code="invalid") from error

    def get_prep_value(self, value: Any) -> Any:
        return super().get_prep_value(self.to_python(value))
