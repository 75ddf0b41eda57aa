"""Disks and what is on them: from `lsblk`, else from sysfs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent.facts.sources import Sources
from agent.facts.text import clean, load_json, rows

_COMMAND = ["lsblk", "--json", "--bytes", "--output-all"]
# Kernel names of what is no disk of the machine: RAM, loops, network and optical devices, volumes.
_NO_DISKS = ("ram", "zram", "loop", "nbd", "sr", "fd", "dm-", "md", "rbd", "drbd", "zd")
_SECTOR = 512
MAX_DISKS = 1000


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk.

    `content`: what is on it, in words; `parts`: label and path of each partition; `mounts`: where
    it or a part of it is mounted; `volumes`: what may reach over several disks: volumes, arrays,
    paths, and partitions that are members of one.
    """

    path: str
    size_bytes: int
    model: str = ""
    serial: str = ""
    is_rotational: bool | None = None
    is_removable: bool = False
    is_read_only: bool = False
    content: tuple[str, ...] = ()
    parts: tuple[tuple[str, str], ...] = ()
    mounts: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


def parse(text: str) -> list[Disk]:
    """The disks in what `lsblk --json --bytes --output-all` says (util-linux 2.33 and later)."""
    document = load_json(text)
    devices = rows(document.get("blockdevices")) if isinstance(document, dict) else []
    found = [_disk(device) for device in devices if _is_disk(device)]
    return [disk for disk in found if disk.path and disk.size_bytes > 0][:MAX_DISKS]


def _is_disk(device: Mapping[str, Any]) -> bool:
    name = str(device.get("name", ""))
    return device.get("type") == "disk" and not name.startswith(_NO_DISKS)


def _disk(device: Mapping[str, Any]) -> Disk:
    below = _below(device)
    return Disk(
        path=clean(device.get("path"), 255) or f"/dev/{clean(device.get('name'), 200)}",
        size_bytes=_number(device.get("size")),
        model=clean(device.get("model"), 128),
        serial=clean(device.get("serial"), 128),
        is_rotational=_flag(device.get("rota")),
        is_removable=bool(_flag(device.get("rm"))) or device.get("tran") == "usb",
        is_read_only=bool(_flag(device.get("ro"))),
        content=_content(device, below),
        parts=tuple(_part(child) for child in below if child.get("type") == "part"),
        mounts=tuple(mount for one in [device, *below] for mount in _mounts(one)),
        volumes=tuple(clean(one.get("name"), 120) for one in below if _is_volume(one)),
    )


def _below(device: Mapping[str, Any], depth: int = 0) -> list[dict[str, Any]]:
    """Partitions, volumes and arrays on a device, however deep."""
    found: list[dict[str, Any]] = []
    for child in rows(device.get("children")) if depth < 8 else []:
        found += [child, *_below(child, depth + 1)]
    return found


def _part(child: Mapping[str, Any]) -> tuple[str, str]:
    return clean(child.get("partlabel"), 64), clean(child.get("path"), 255)


def _is_volume(child: Mapping[str, Any]) -> bool:
    kind = str(child.get("fstype") or "")
    return child.get("type") != "part" or kind.endswith(_MEMBER) or kind in _MEMBERS


def _content(device: Mapping[str, Any], below: list[dict[str, Any]]) -> tuple[str, ...]:
    found = [f"a {device[key]} {words}" for key, words in _SIGNATURES.items() if device.get(key)]
    for child in below:
        kind = f"{child.get('type') or 'part'} {child.get('name')}"
        found.append(f"{kind} ({child['fstype']})" if child.get("fstype") else kind)
    return tuple(clean(words, 120) for words in found)


# As libblkid names what is a piece of something larger.
_MEMBER, _MEMBERS = "_member", ("bcache", "ceph_bluestore", "drbd")
_SIGNATURES = {"pttype": "partition table", "fstype": "signature"}


def _mounts(device: Mapping[str, Any]) -> list[str]:
    listed = device.get("mountpoints")
    every = [*(listed if isinstance(listed, list) else []), device.get("mountpoint")]
    return sorted({mount for mount in every if isinstance(mount, str) and mount})


def _number(value: Any) -> int:
    """lsblk before 2.34 wrote numbers as texts."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else {"0": False, "1": True}.get(str(value))


def parse_sysfs(name: str, files: Mapping[str, str]) -> Disk | None:
    """A disk as /sys/block/<name> shows it: `files` by their path below that folder."""
    size = _number(files.get("size", "")) * _SECTOR
    if name.startswith(_NO_DISKS) or not size:
        return None
    return Disk(
        path=f"/dev/{name}",
        size_bytes=size,
        model=clean(files.get("device/model", ""), 128),
        serial=clean(files.get("device/serial", "") or files.get("serial", ""), 128),
        is_rotational=_flag(files.get("queue/rotational", "")),
        is_removable=bool(_flag(files.get("removable", ""))),
        is_read_only=bool(_flag(files.get("ro", ""))),
    )


_SYSFS = ("size", "device/model", "device/serial", "serial", "queue/rotational", "removable", "ro")


def read(sources: Sources) -> list[Disk]:
    """The machine's disks in the order of their paths."""
    found = parse(sources.program("lsblk.json", _COMMAND, is_hardware=True))
    folder = sources.hardware / "sys/block"
    if not found and folder.is_dir():
        names = sorted(path.name for path in folder.iterdir())
        found = [disk for name in names if (disk := _read_sysfs(sources, name))]
    return sorted({disk.path: disk for disk in found}.values(), key=lambda disk: disk.path)


def _read_sysfs(sources: Sources, name: str) -> Disk | None:
    files = {key: sources.hardware_file(f"sys/block/{name}/{key}") for key in _SYSFS}
    folder = sources.hardware / "sys/block" / name
    parts = sorted(path.parent.name for path in folder.glob("*/partition"))
    users = sorted(path.name for path in folder.glob("holders/*"))
    disk = parse_sysfs(name, files)
    content = (*(f"part {part}" for part in parts), *(f"used by {user}" for user in users))
    return replace(disk, content=content) if disk else None
