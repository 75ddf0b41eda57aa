"""Verify what matchbox rendered before anybody gets it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network
from typing import Any

import yaml
from django.conf import settings

from matchbox_sync.compose import BootPart, ComposedProfile
from matchbox_sync.ignition import IgnitionDocument, IgnitionError, entries, read_ignition
from matchbox_sync.marks import skeleton
from matchbox_sync.renderer import Rendered
from matchbox_sync.templating import SafeLoader
from scheduling.roles import PROFILE_DISCOVERY, profile_of

MAX_BYTES = 1024 * 1024
STRICT_SECONDS = 120.0
DISCOVERY_MARKER = "/etc/enjoliver/discovery"
ROLE_MARKER = "/etc/enjoliver/role"
ENVIRONMENT = "/etc/enjoliver/environment"
HOST_NAME = "/etc/hostname"

_FORBIDDEN = (b"<no value>", b"%!v(", b"PRIVATE KEY-----")
_VALID_HOST_NAME = re.compile(rb"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\n?")
_POD_CIDR = re.compile(rb'^ENJOLIVER_POD_CIDR="?([^"\n]*)"?$', re.MULTILINE)
_COMPARED = (
    ("storage", "files", "path", {"mode": "mode", "overwrite": "overwrite"}),
    ("storage", "links", "path", {"target": "target", "hard": "hard"}),
    ("storage", "directories", "path", {"mode": "mode"}),
    (
        "systemd",
        "units",
        "name",
        {"contents": "contents", "enabled": "enabled", "mask": "mask", "dropins": "dropins"},
    ),
    ("passwd", "users", "name", {"ssh_authorized_keys": "sshAuthorizedKeys", "groups": "groups"}),
)
"""Section, list, identity, and the keys to compare: in Butane's words and in Ignition's."""


class VerifyError(Exception):
    """A rendered config is not what the template says; the message says what, and where."""


class _Filled:
    """Stands in a template's skeleton for a text that matchbox fills."""


def check_rendered(profile: ComposedProfile, rendered: Rendered) -> None:
    """Check one rendered config against its profile; raises VerifyError.

    The text before Butane must be the template with only its marks filled, and the Ignition
    document must say the same as that text, file by file and unit by unit.
    """
    if len(rendered.ignition) > MAX_BYTES:
        raise VerifyError(f"the document has {len(rendered.ignition)} bytes, over {MAX_BYTES}")
    text = _read_text(rendered.butane)
    _check_shape(_skeleton(profile.template), text, "")
    try:
        document = read_ignition(rendered.ignition)
        _check_inventory(profile, document)
        _check_contents(text, document)
        _check_forbidden(document)
    except IgnitionError as error:
        raise VerifyError(str(error)) from error
    _check_role(profile, document.files)
    _check_script(profile.boot, rendered.ipxe)


def check_strict(rendered: Rendered) -> None:
    """Check the text before Butane with `butane --strict`; raises VerifyError.

    matchbox drops unknown keys silently. All texts of one template have the same shape
    (`check_rendered` sees to that), so one of them stands for all.
    """
    try:
        done = subprocess.run(
            [settings.BUTANE_BIN, "--strict"],
            input=rendered.butane,
            capture_output=True,
            timeout=STRICT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VerifyError(f"butane cannot check the config: {error}") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").splitlines()
        raise VerifyError(f"butane --strict: {'; '.join(lines[:5]) or 'no reason given'}")


# --- the text before Butane ---------------------------------------------------------------------


@lru_cache(maxsize=8)
def _skeleton(template: str) -> Any:
    return skeleton(template, _Filled)


def _read_text(butane: bytes) -> Any:
    try:
        return json.loads(butane)
    except ValueError:
        pass  # Go quotes a few characters in ways that only YAML knows; reading YAML is slow
    try:
        return yaml.load(butane, SafeLoader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError) as error:
        raise VerifyError(f"the text before Butane cannot be read: {error}") from error


def _check_shape(expected: Any, found: Any, place: str) -> None:
    """Same keys, same lengths, same literals; a filled mark is text."""
    if expected is _Filled:
        if not isinstance(found, str):
            raise VerifyError(f"{place}: {found!r} where text was to be filled in")
    elif isinstance(expected, dict) and isinstance(found, dict):
        if expected.keys() != found.keys():
            raise VerifyError(f"{place}: keys {sorted(found)} instead of {sorted(expected)}")
        for key, value in expected.items():
            _check_shape(value, found[key], f"{place}.{key}")
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            raise VerifyError(f"{place}: {len(found)} entries instead of {len(expected)}")
        for number, value in enumerate(expected):
            _check_shape(value, found[number], f"{place}[{number}]")
    elif expected != found or type(expected) is not type(found):
        raise VerifyError(f"{place}: {str(found)[:80]!r} is not what the template says")


# --- the Ignition document ----------------------------------------------------------------------


def _check_inventory(profile: ComposedProfile, document: IgnitionDocument) -> None:
    wanted = (("path", document.paths, profile.paths), ("unit", document.units, profile.units))
    for word, found, expected in wanted:
        missing, extra = sorted(expected - set(found)), sorted(set(found) - expected)
        if missing or extra or len(found) != len(expected):
            raise VerifyError(f"{word}s: missing {missing}, not in the profile {extra}")


def _check_contents(text: Mapping[str, Any], document: IgnitionDocument) -> None:
    for entry in entries(text, "storage", "files"):
        contents = entry.get("contents") or {}
        if "source" not in contents:
            inline = (contents.get("inline") or "").encode()
            _check_same(f"file {entry['path']}", inline, document.files.get(entry["path"]))
    for section, kind, name, pairs in _COMPARED:
        found = {entry[name]: entry for entry in document.entries(section, kind)}
        for entry in entries(text, section, kind):
            twin = found.get(entry[name], {})
            for said, written in pairs.items():
                _check_same(f"{kind} {entry[name]} {said}", entry.get(said), twin.get(written))


def _check_same(what: str, said: Any, found: Any) -> None:
    if (said or None) != (found or None):
        raise VerifyError(f"{what}: {str(found)[:80]!r} is not what the text before Butane says")


def _check_forbidden(document: IgnitionDocument) -> None:
    """What a template prints for a missing key, Go's complaints, and secrets."""
    for where, content in document.texts():
        for word in _FORBIDDEN:
            if word in content:
                raise VerifyError(f"{where}: holds {word.decode()!r}")


# --- what each profile promises -----------------------------------------------------------------


def _check_role(profile: ComposedProfile, files: Mapping[str, bytes]) -> None:
    """The markers by which machines tell configs apart, a host name and a pod network."""
    is_discovery = profile.name == PROFILE_DISCOVERY
    if (DISCOVERY_MARKER in files) != is_discovery or (ROLE_MARKER in files) == is_discovery:
        raise VerifyError(
            f"{profile.name}: {DISCOVERY_MARKER} belongs to {PROFILE_DISCOVERY} only, "
            f"{ROLE_MARKER} to all others"
        )
    if not _VALID_HOST_NAME.fullmatch(files.get(HOST_NAME, b"")):
        raise VerifyError(f"{HOST_NAME}: {files.get(HOST_NAME, b'')[:80]!r} is no host name")
    if is_discovery:
        return
    roles = files[ROLE_MARKER].decode().strip().split(",")
    if profile_of(roles) != profile.name:
        raise VerifyError(f"{ROLE_MARKER}: {roles} is not the role of {profile.name}")
    _check_pod_network(files.get(ENVIRONMENT, b""))


def _check_pod_network(environment: bytes) -> None:
    found = _POD_CIDR.search(environment)
    try:
        IPv4Network(found[1].decode() if found else "")
    except ValueError as error:
        raise VerifyError(
            f"{ENVIRONMENT}: no pod network for this machine: pod_network holds too few of them"
        ) from error


def _check_script(boot: BootPart, script: bytes) -> None:
    """matchbox fills nothing here; see its template in http/ipxe.go."""
    lines = ["#!ipxe", " ".join(["kernel", boot.kernel, *boot.args])]
    lines += [f"initrd {initrd}" for initrd in boot.initrd]
    if script.decode("utf-8", "replace").splitlines() != [*lines, "boot"]:
        raise VerifyError(f"the iPXE script is not that of the profile: {script[:200]!r}")
