"""What the operating system must bring, installed through apt where it is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.steps import TRIES, StepFailed, run, say, step

_POLICY = Path("/usr/sbin/policy-rc.d")
_SYSTEMD = Path("/run/systemd/system")  # there when systemd is what runs the services


@dataclass(frozen=True, slots=True)
class Need:
    """A Debian package, why it is needed, whether it is there, the services that it starts."""

    package: str
    reason: str
    is_there: Callable[[], bool]
    services: tuple[str, ...] = ()


def _program(*names: str) -> Callable[[], bool]:
    return lambda: any(shutil.which(name) for name in names)


def _file(path: str) -> Callable[[], bool]:
    return lambda: Path(path).exists()


def _has_venv() -> bool:
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def _has_postgres_server() -> bool:
    return bool(shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb")))


def _has_libvirt_qemu() -> bool:
    return bool(list(Path("/usr/lib").glob("*/libvirt/connection-driver/libvirt_driver_qemu.so")))


def _has_python_headers() -> bool:
    return (Path(sysconfig.get_path("include")) / "Python.h").exists()


def _has_python_library() -> bool:
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        return True
    folder = Path(str(sysconfig.get_config_var("LIBDIR")))
    name = str(sysconfig.get_config_var("INSTSONAME"))
    return any((place / name).exists() for place in (folder, *folder.glob("*-linux-gnu")))


RUN_NEEDS = (
    Need("python3-venv", "to keep the Python packages apart from the system's", _has_venv),
    Need(
        "ca-certificates",
        "to fetch Go modules over TLS",
        _file("/etc/ssl/certs/ca-certificates.crt"),
    ),
)
TEST_NEEDS = (
    Need("gcc", "Ignition has parts in C", _program("gcc", "cc")),
    Need("libc6-dev", "Ignition has parts in C", _file("/usr/include/stdlib.h")),
    Need("libblkid-dev", "Ignition looks at block devices", _file("/usr/include/blkid/blkid.h")),
    Need(
        "postgresql",
        "the tests run on PostgreSQL too",
        _has_postgres_server,
        services=("postgresql",),
    ),
    Need(
        "redis-server",
        "the tests run on Redis too",
        _program("redis-server"),
        services=("redis-server",),
    ),
    Need("etcd-server", "health gates are tried on it", _program("etcd"), services=("etcd",)),
    Need(
        "prometheus",
        "health gates are tried on it",
        _program("prometheus"),
        services=("prometheus",),
    ),
    Need("openssl", "certificates of tests", _program("openssl")),
)
LAB_NEEDS = (
    # One line each, by the program; drivers add theirs.
    Need("iproute2", "the lab's network", _program("ip")),
    Need("dnsmasq-base", "DHCP and names in the lab's network", _program("dnsmasq")),
    Need("lldpd", "the lab's switches speak LLDP", _program("lldpd"), services=("lldpd",)),
    Need("openssh-client", "the way into the lab's machines", _program("ssh-keygen")),
    Need("binutils", "to build the agent as a program", _program("objdump")),
    Need("libpython3-dev", "to build the agent as a program", _has_python_library),
    Need("mmdebstrap", "to build the machines' system", _program("mmdebstrap")),
    Need("zstd", "to pack the machines' system", _program("zstd")),
    Need("systemd-container", "container machines", _program("systemd-nspawn")),
    Need("e2fsprogs", "disks of container machines", _program("mkfs.ext4")),
    Need(
        "kea-dhcp4-server",
        "the documented DHCP examples are tested",
        _program("kea-dhcp4"),
        services=("kea-dhcp4-server",),
    ),
    Need("ipxe", "what those examples serve", _file("/usr/lib/ipxe/undionly.kpxe")),
    Need("curl", "downloads from /assets are tested", _program("curl")),
)
LAB_VM_NEEDS = (
    Need("qemu-system-x86", "virtual machines", _program("qemu-system-x86_64")),
    Need("squashfs-tools", "the virtual machines' system", _program("mksquashfs")),
    Need("ovmf", "virtual machines with UEFI", _file("/usr/share/OVMF/OVMF_CODE_4M.fd")),
    Need("ipxe-qemu", "virtual machines boot by iPXE", _file("/usr/lib/ipxe/qemu")),
    Need("libvirt-daemon", "keeps virtual machines", _program("libvirtd"), services=("libvirtd",)),
    Need("libvirt-daemon-driver-qemu", "libvirt's way to qemu", _has_libvirt_qemu),
    Need("libvirt-dev", "to build libvirt's Python package", _file("/usr/include/libvirt")),
    Need("pkg-config", "to build libvirt's Python package", _program("pkg-config")),
    Need("python3-dev", "to build libvirt's Python package", _has_python_headers),
)


def install_missing(needs: Sequence[Need]) -> None:
    """Install what is missing; asks apt for nothing when nothing is. Raises StepFailed."""
    missing = [need for need in needs if not need.is_there()]
    if not missing:
        say("System packages: all there")
        return
    names = [need.package for need in missing]
    as_root = _as_root(names)
    for need in missing:
        say(f"  {need.package}: {need.reason}")
    with step("System packages", "installing through apt"), _services_stay_off(as_root):
        _apt(as_root, "update")
        _apt(as_root, "install", "--yes", "--no-install-recommends", *names)
    _disable_services(as_root, [service for need in missing for service in need.services])


def _as_root(names: Sequence[str]) -> list[str]:
    """The words before a command that make it run as root."""
    if not shutil.which("apt-get"):
        raise StepFailed(
            "These are missing, and this system has no apt to install them with; they are named "
            f"as in Debian: {' '.join(names)}"
        )
    if os.geteuid() == 0:
        return ["env"]
    # Asked here, where a password prompt can be seen; later output is captured.
    if shutil.which("sudo") and subprocess.run(["sudo", "--validate"]).returncode == 0:
        return ["sudo", "env"]
    raise StepFailed(
        "System packages are missing, and you are neither root nor may you use sudo. Have "
        f"somebody run: apt-get install --no-install-recommends {' '.join(names)}"
    )


def _apt(as_root: Sequence[str], *arguments: str) -> None:
    run(
        [
            *as_root,
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "--option=DPkg::Lock::Timeout=300",
            "--quiet",
            *arguments,
        ],
        advice="Is there a way to the package mirror, and does `apt-get update` work by itself?",
        tries=TRIES,
    )


@contextmanager
def _services_stay_off(as_root: Sequence[str]) -> Iterator[None]:
    """Debian starts a service when its package is installed, unless this file forbids it."""
    if _POLICY.exists():
        yield  # a container's own; _disable_services holds whatever it says
        return
    advice = f"Set-up writes {_POLICY} for the time of the installation, and removes it."
    with tempfile.NamedTemporaryFile("w", suffix="-policy") as policy:
        policy.write("#!/bin/sh\nexit 101\n")
        policy.flush()
        run([*as_root, "install", "-m", "755", policy.name, str(_POLICY)], advice=advice)
    try:
        yield
    finally:
        run([*as_root, "rm", "--force", str(_POLICY)], advice=advice)


def _disable_services(as_root: Sequence[str], services: Sequence[str]) -> None:
    """The tests start private servers; the system's own stay off after a reboot too."""
    if not _SYSTEMD.is_dir():
        return
    for service in services:
        run(
            [*as_root, "systemctl", "disable", "--now", service],
            advice=f"The service {service} was installed for the tests and need not run.",
        )
