"""Further checks of single cluster values, beyond their type. Pure; each raises ValueError."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any
from zoneinfo import ZoneInfo

Check = Callable[[Any], None]

_HOST_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*",
    re.ASCII,
)
# iPXE expands ${…} and takes && and || as separators, so kernel arguments have a small alphabet.
_KERNEL_ARGUMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,:;=/@%+*~^!()\[\]-]*", re.ASCII)
_ENGINE_ARGUMENTS = ("initrd", "ignition.config.url", "flatcar.first_boot", "BOOT_IMAGE")
_SYSCTL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./*-]*=\S.*", re.ASCII)
_SSH_KEY = re.compile(
    r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com"
    r"|sk-ecdsa-sha2-nistp256@openssh\.com) [A-Za-z0-9+/]{32,}={0,3}(?: .*)?"
)
_LADDER_STEP = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,15})=([0-9]{1,9})", re.ASCII)


def within(minimum: int, maximum: int) -> Check:
    """A number from `minimum` to `maximum`, both included."""

    def check(value: int) -> None:
        if not minimum <= value <= maximum:
            raise ValueError(f"expected {minimum} to {maximum}")

    return check


def zero_or_within(minimum: int, maximum: int) -> Check:
    """0 (left as it is) or a number from `minimum` to `maximum`."""

    def check(value: int) -> None:
        if value:
            within(minimum, maximum)(value)

    return check


def prefix_within(minimum: int, maximum: int) -> Check:
    """A network whose prefix length lies from `minimum` to `maximum`."""

    def check(value: str) -> None:
        if not minimum <= ipaddress.IPv4Network(value).prefixlen <= maximum:
            raise ValueError(f"expected a prefix from /{minimum} to /{maximum}")

    return check


def matching(pattern: str, expected: str) -> Check:
    """A text, or each item of a list, that `pattern` matches as a whole."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str | list[str]) -> None:
        for text in [value] if isinstance(value, str) else value:
            if not compiled.fullmatch(text):
                raise ValueError(f"{text!r}: expected {expected}")

    return check


def time_zone(value: str) -> None:
    """A name of the IANA time zone database."""
    if not re.fullmatch(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*", value, re.ASCII):
        raise ValueError("expected a time zone like Europe/Paris")
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{value} is not in the time zone database") from error


def hosts(value: Iterable[str]) -> None:
    """Host names or addresses."""
    for text in value:
        if not _HOST_NAME.fullmatch(text) and not _is_address(text):
            raise ValueError(f"{text!r}: expected a host name or an address")


def host_lines(value: Iterable[str]) -> None:
    """Lines of /etc/hosts: an address and one name or more (hosts(5))."""
    for line in value:
        address, *names = line.split()
        if not _is_address(address) or not names or not all(map(_HOST_NAME.fullmatch, names)):
            raise ValueError(f"{line!r}: expected an address and host names")


def kernel_arguments(value: Iterable[str]) -> None:
    """Kernel arguments without blanks; those that the engine sets itself are refused."""
    for argument in value:
        if not _KERNEL_ARGUMENT.fullmatch(argument):
            raise ValueError(f"{argument!r}: expected name or name=value without blanks or quotes")
        if argument.partition("=")[0] in _ENGINE_ARGUMENTS:
            raise ValueError(f"{argument!r}: the engine sets this argument itself")


def consoles(value: Iterable[str]) -> None:
    """Kernel arguments `console=…`."""
    kernel_arguments(value)
    for argument in value:
        if not argument.startswith("console="):
            raise ValueError(f"{argument!r}: expected console=…")


def sysctls(value: Iterable[str]) -> None:
    """Settings `key=value` of sysctl.d(5), each key once."""
    keys = set()
    for line in value:
        key = line.partition("=")[0]
        if not _SYSCTL.fullmatch(line):
            raise ValueError(f"{line!r}: expected key=value")
        if key in keys:
            raise ValueError(f"{key} is set twice")
        keys.add(key)


def ssh_keys(value: Iterable[str]) -> None:
    """Public keys as in authorized_keys (sshd(8)), without options."""
    for line in value:
        if not _SSH_KEY.fullmatch(line):
            raise ValueError(f"{line[:40]!r}: expected an OpenSSH public key without options")


def disk_ladder(value: Iterable[str]) -> None:
    """Steps `NAME=GIB` with rising sizes."""
    parse_ladder(value)


def parse_ladder(value: Iterable[str]) -> list[tuple[str, int]]:
    """The steps of a disk ladder as (name, GiB), rising; raises ValueError."""
    steps: list[tuple[str, int]] = []
    for text in value:
        step = _LADDER_STEP.fullmatch(text)
        if not step:
            raise ValueError(f"{text!r}: expected NAME=GIB")
        steps.append((step[1], int(step[2])))
    names, sizes = [name for name, _ in steps], [size for _, size in steps]
    if not steps or len(set(names)) != len(names) or sizes != sorted(set(sizes)):
        raise ValueError("expected at least one step, different names and rising sizes")
    return steps


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
