"""Engine settings as an operator may see them: value, where it came from, no secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from enjoliver.conf import Configured

MASK = "********"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def shown_settings(configured: Mapping[str, Configured], effective: Any) -> dict[str, Any]:
    """Name → what it is, its source and meaning; `effective` is Django's settings object.

    `effective` in the answer is the value after defaults that depend on other settings
    (`ENJOLIVER_API_URI` is empty by default, and then made from the address bound).
    """
    return {
        name: {
            "value": masked(one.value, is_secret=one.setting.is_secret),
            "source": one.source,
            "default": one.setting.default,
            "meaning": one.setting.meaning,
            "effective": masked(
                getattr(effective, name.removeprefix("ENJOLIVER_"), one.value),
                is_secret=one.setting.is_secret,
            ),
        }
        for name, one in sorted(configured.items())
    }


def masked(value: Any, *, is_secret: bool) -> Any:
    """`value` ready for JSON; of a secret only what names the place (a URL's host) is left.

    Passwords inside URLs are masked in every setting: nobody can know which one will get some.
    """
    if isinstance(value, (list, tuple)):
        return [masked(item, is_secret=is_secret) for item in value]
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    text = str(value)
    if _URL.match(text):
        return _masked_url(text)
    return MASK if is_secret and text else text


def _masked_url(url: str) -> str:
    """Scheme, user, host and path of `url`; passwords and the query are masked."""
    try:
        parts = urlsplit(url)
        credentials, _, place = parts.netloc.rpartition("@")
    except ValueError:
        return MASK
    user, has_password, _ = credentials.partition(":")
    kept = f"{user}{':' + MASK if has_password else ''}@{place}" if credentials else place
    return urlunsplit((parts.scheme, kept, parts.path, MASK if parts.query else "", ""))
