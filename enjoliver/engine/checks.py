"""System checks: settings that would start and then not serve a fleet. Run by every command."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import connection

MIN_PASSWORD = 8


@register("enjoliver")
def check_addresses(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """The address that machines use must be known, a URL, and not loopback for others."""
    if not _is_web_url(settings.API_URI):
        return [
            Error(
                f"ENJOLIVER_API_URI={settings.API_URI!r} is not an http(s) URL",
                hint="e.g. http://10.0.0.1:5000, as the machines reach the engine",
                id="enjoliver.E001",
            )
        ]
    if _is_loopback(settings.BIND.rpartition(":")[0]):
        return []
    if not settings.CONFIGURED["ENJOLIVER_API_URI"].value:
        return [
            Error(
                "the engine listens on more than loopback and ENJOLIVER_API_URI is not set",
                hint="set it to the URL under which machines reach the engine; it is written "
                "into every boot script",
                id="enjoliver.E002",
            )
        ]
    if _is_loopback(urlsplit(settings.API_URI).hostname or ""):
        return [
            Warning(
                "ENJOLIVER_API_URI is a loopback address: no other machine can reach it",
                hint="set it to the URL under which machines reach the engine",
                id="enjoliver.W001",
            )
        ]
    return []


@register("enjoliver")
def check_password(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """A password given for the first operator must be worth the name."""
    password = settings.ADMIN_PASSWORD
    if password and len(password) < MIN_PASSWORD:
        return [
            Warning(
                f"ENJOLIVER_ADMIN_PASSWORD has fewer than {MIN_PASSWORD} characters",
                hint="unset it to have one generated, or give a longer one",
                id="enjoliver.W004",
            )
        ]
    return []


@register("enjoliver")
def check_networks(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Networks must parse here: a wrong one would be a failure at each request."""
    found = []
    for name, networks in (
        ("ENJOLIVER_NODE_NETWORKS", settings.NODE_NETWORKS),
        ("ENJOLIVER_TRUSTED_PROXIES", settings.TRUSTED_PROXIES),
    ):
        wrong = [network for network in networks if not _is_network(network)]
        if wrong:
            found.append(
                Error(
                    f"{name}: {', '.join(wrong)} is no network",
                    hint="write networks as 10.0.0.0/8, comma separated",
                    id="enjoliver.E003",
                )
            )
    return found


@register("enjoliver")
def check_matchbox(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Every matchbox instance is named by an http(s) URL."""
    wrong = [url for url in settings.MATCHBOX_URLS if not _is_web_url(url)]
    if not wrong:
        return []
    return [
        Error(
            f"ENJOLIVER_MATCHBOX_URLS: {', '.join(wrong)} is not an http(s) URL",
            hint="e.g. http://10.0.0.2:8080, several separated by commas",
            id="enjoliver.E004",
        )
    ]


@register("enjoliver")
def check_database(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """SQLite is one machine's database; a shared broker means that there are several."""
    if connection.vendor == "sqlite" and settings.CONFIGURED["ENJOLIVER_BROKER_URL"].value:
        return [
            Warning(
                "a broker for several machines with SQLite, which serves one machine only",
                hint="set DATABASE_URL to PostgreSQL when engine processes run on several machines",
                id="enjoliver.W002",
            )
        ]
    return []


@register("enjoliver")
def check_debug(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Debug pages show settings and code to whoever can cause an error."""
    if settings.DEBUG and not _is_loopback(settings.BIND.rpartition(":")[0]):
        return [
            Warning(
                "ENJOLIVER_DEBUG is on while the engine listens on more than loopback",
                hint="unset ENJOLIVER_DEBUG",
                id="enjoliver.W003",
            )
        ]
    return []


def _is_web_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
