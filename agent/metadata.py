"""Reading the engine's `/metadata`: is it this machine's, and what does it say of membership. Pure.

`KEY=value` lines without quotes, as matchbox writes them (its `http/metadata.go`).
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Mapping

MEMBERS = "ETCD_MEMBER_KUBERNETES_CONTROL_PLANE_IP_LIST"
NAMES = "ETCD_MEMBER_KUBERNETES_CONTROL_PLANE_NAMES"
COUNT = "KUBERNETES_APISERVER_COUNT"
_CLUSTERS = ("KUBERNETES", "VAULT", "FLEET")
_LISTS = ("INITIAL_CLUSTER", "MEMBER_CLIENT_URI_LIST", "MEMBER_PEER_URI_LIST")
MEMBERSHIP_KEYS = frozenset(
    {MEMBERS, NAMES, COUNT, "KUBERNETES_APISERVER_URI_LIST", "VAULT_IP_LIST"}
    | {f"{cluster}_ETCD_{listed}" for cluster in _CLUSTERS for listed in _LISTS}
)
"""Who the control plane is: run-time data, in no config."""

_ADDRESSES = (MEMBERS, "VAULT_IP_LIST")
_PLAIN = re.compile(r"[A-Za-z0-9._:,/=\[\]-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST = 64 << 10


class BadMembership(Exception):
    """The answer must not replace a good copy; the text says why."""


def read_membership(text: str, *, uuid: str, mac: str) -> dict[str, str]:
    """The membership keys in an answer for exactly this machine; raises BadMembership.

    The engine answers a query that it cannot place, such as one with another machine's UUID, with
    the values of discovery (its decision 0007): those name no machine and no members.
    """
    found = _wanted(text, MEMBERSHIP_KEYS | {"UUID", "BOOT_MAC"})
    if "UUID" not in found:
        raise BadMembership("it has the values of no machine")
    if _bare(found["UUID"]) != _bare(uuid) or _bare(found.get("BOOT_MAC", "")) != _bare(mac):
        raise BadMembership(f"it has the values of another machine: {found['UUID'][:40]}")
    missing = sorted(MEMBERSHIP_KEYS - found.keys())
    if missing:
        raise BadMembership(f"it lacks {', '.join(missing[:3])}")
    membership = {key: found[key] for key in sorted(MEMBERSHIP_KEYS)}
    _check_values(membership)
    return membership


def _wanted(text: str, keys: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.split("\n"):
        key, separator, value = line.partition("=")
        if line and not separator:
            raise BadMembership("it does not consist of lines KEY=value")
        if key in keys:
            if key in found:
                raise BadMembership(f"it says {key} twice")
            found[key] = value
    return found


def _check_values(membership: Mapping[str, str]) -> None:
    for key, value in membership.items():
        # A member without a name of its own is possible, one without an address is none.
        is_good = not _CONTROL.search(value) if key == NAMES else bool(_PLAIN.fullmatch(value))
        if not is_good or len(value) > _LONGEST:
            raise BadMembership(f"{key} in it cannot be used: {value[:60]!r}")
    for key in _ADDRESSES:
        for address in membership[key].split(","):
            try:
                ipaddress.ip_address(address)
            except ValueError as error:
                raise BadMembership(f"{key} in it: {error}"[:200]) from error
    if not re.fullmatch("[1-9][0-9]{0,4}", membership[COUNT], re.ASCII):
        raise BadMembership(f"{COUNT} in it is {membership[COUNT][:20]!r}")


def _bare(identifier: str) -> str:
    return identifier.lower().replace("-", "").replace(":", "")


def as_environment(membership: Mapping[str, str]) -> bytes:
    """An environment file that systemd and shells read alike: sorted, quoted where needed."""
    lines = (f"{key}={shlex.quote(membership[key])}\n" for key in sorted(membership))
    return "".join(lines).encode()
