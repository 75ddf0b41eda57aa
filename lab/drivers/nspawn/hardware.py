"""A container machine's firmware and disks as files, as the agent reads them (docs/agent.md)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.drivers.base import DriverFailed
from lab.errors import LabFailed
from lab.programs import run
from lab.topology import DiskSpec, LabMachine

MODEL = "Enjoliver Lab Disk"
VENDOR = "Enjoliver"
PRODUCT = "Lab Container"
_SECTOR = 512
_DATA_LABEL = "somebodys-data"
AGENT_SETTINGS = "".join(
    f"{line}\n"
    for line in (
        "ENJOLIVER_AGENT_HARDWARE=/lab/hardware",
        # As often as machines report here: somebody waits for it.
        "ENJOLIVER_AGENT_MEMBERSHIP_SECONDS=10",
    )
)


def files_of(machine: LabMachine) -> dict[str, str]:
    """All files that say what the machine is, by their path below its hardware folder."""
    spec = machine.spec
    dmi = {
        "product_uuid": machine.uuid,
        "product_serial": machine.serial,
        "product_name": PRODUCT,
        "sys_vendor": VENDOR,
    }
    cpus = "".join(f"processor\t: {at}\nmodel name\t: Lab CPU\n\n" for at in range(spec.cpus))
    found = {f"sys/class/dmi/id/{name}": text for name, text in dmi.items()}
    found |= {
        "proc/cpuinfo": cpus,
        "proc/meminfo": f"MemTotal: {spec.memory_mib << 10} kB\n",
        "proc/cmdline": "",
        "facts/names": machine.fqdn,
    }
    for disk in spec.disks:
        found |= {f"sys/block/{disk.name}/{key}": text for key, text in _sysfs(machine, disk)}
    return found


def _sysfs(machine: LabMachine, disk: DiskSpec) -> list[tuple[str, str]]:
    return [
        ("size", str((disk.size_gib << 30) // _SECTOR)),
        ("queue/rotational", "1" if disk.is_rotational else "0"),
        ("removable", "0"),
        ("ro", "0"),
        ("device/model", MODEL),
        ("device/serial", f"{machine.serial}-{disk.name}".upper()),
    ]


def lay_out(hardware: Path, machine: LabMachine) -> None:
    """Write the files; make each disk that is not there, sparse, with what it holds when new."""
    for name, text in files_of(machine).items():
        path = hardware / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n" if text else "")
    for disk in machine.spec.disks:
        make_disk(hardware, disk)


def make_disk(hardware: Path, disk: DiskSpec) -> None:
    """The disk as a sparse file, with what it holds when it is new; one that is there stays."""
    path, new = hardware / "dev" / disk.name, hardware / f"{disk.name}.new"
    if path.exists():
        return
    path.parent.mkdir(exist_ok=True)
    with new.open("wb") as file:
        file.truncate(disk.size_gib << 30)
    if disk.content == "data":
        try:
            run(["mkfs.ext4", "-q", "-F", "-L", _DATA_LABEL, str(new)])
        except LabFailed as error:
            raise DriverFailed(f"the disk {path.name} with data: {error}") from error
    new.replace(path)


def write_lsblk(hardware: Path) -> None:
    """`facts/lsblk.json` out of the disks' real state, in place of asking the computer's disks."""
    devices = [_device(hardware, path) for path in sorted((hardware / "dev").iterdir())]
    path = hardware / "facts" / "lsblk.json"
    path.write_text(json.dumps({"blockdevices": devices}, indent=1) + "\n")


def _device(hardware: Path, disk: Path) -> dict[str, Any]:
    """One disk as `lsblk --json --bytes --output-all` tells it."""

    def known(key: str) -> str:
        return (hardware / "sys/block" / disk.name / key).read_text().strip()

    with disk.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
    found = signatures(disk)
    return {
        "name": disk.name,
        "path": f"/dev/{disk.name}",
        "type": "disk",
        "size": size,
        "model": known("device/model"),
        "serial": known("device/serial"),
        "rota": known("queue/rotational") == "1",
        "rm": known("removable") == "1",
        "ro": known("ro") == "1",
        "fstype": found.get("TYPE"),
        "label": found.get("LABEL"),
        "pttype": found.get("PTTYPE"),
        "mountpoints": [],
    }


def signatures(disk: Path) -> Mapping[str, str]:
    """What libblkid finds on a disk; empty for nothing. Raises DriverFailed."""
    command = ["blkid", "--probe", "--output", "export", str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    # 2: nothing was found (blkid(8)); 8: more than one thing, which is data as well.
    if done.returncode == 8:
        return {"TYPE": "ambivalent"}
    if done.returncode not in (0, 2):
        raise DriverFailed(f"blkid cannot read {disk}: {done.stderr.strip()}")
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
