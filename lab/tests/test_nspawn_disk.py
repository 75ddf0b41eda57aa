"""What the installer, the stage command and the restart command of the image do to a disk."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess

import pytest

from agent.platforms.lab import MARK as AGENT_MARK
from lab.drivers.nspawn import bootdisk
from lab.image.root import FILES

SCRIPTS = FILES / "usr/lib/enjoliver-lab"
UUID = "0b0f7f7e-8f0a-5f53-9d7c-3d2b3f2f6a11"
IMAGE = os.urandom(300_000)


@pytest.fixture
def site(tmp_path):
    """A place to install from, and an empty disk: its folder."""
    assets = tmp_path / "assets/v1"
    assets.mkdir(parents=True)
    (assets / "root.tar.zst").write_bytes(IMAGE)
    sums = f"{hashlib.sha512(IMAGE).hexdigest()}  root.tar.zst\n"
    (assets / "SHA512SUMS").write_text(sums)
    (tmp_path / "config.ign").write_text('{"ignition": {"version": "3.4.0"}}')
    with (tmp_path / "sda").open("wb") as disk:
        disk.truncate(64 << 20)
    return tmp_path


def install(site, **changes):
    environment = {
        "PATH": os.environ["PATH"],
        "ENJOLIVER_INSTALL_DISK": str(site / "sda"),
        "ENJOLIVER_INSTALL_IGNITION": str(site / "config.ign"),
        "ENJOLIVER_UUID": UUID,
        "ENJOLIVER_INSTALL_BASE_URL": f"file://{site}/assets",
        "ENJOLIVER_INSTALL_VERSION": "v1",
        "ENJOLIVER_LAB_DISKS": str(site / "disks"),
        **changes,
    }
    return subprocess.run(
        [SCRIPTS / "install"], env=environment, capture_output=True, text=True, timeout=300
    )


def head_of(disk, size):
    with disk.open("rb") as file:
        return file.read(size)


def test_an_install_leaves_image_config_and_a_record_that_boots(site):
    done = install(site)
    assert done.returncode == 0, done.stderr
    record = bootdisk.read_record(site / "sda")
    assert record == bootdisk.BootRecord(hashlib.sha512(IMAGE).hexdigest(), len(IMAGE))
    bootdisk.copy_image(site / "sda", record, site / "copy")
    assert (site / "copy").read_bytes() == IMAGE
    oem = site / "disks/sda/oem"
    assert (oem / "config.ign").read_bytes() == (site / "config.ign").read_bytes()
    assert (oem / "first-boot").exists()


def test_the_agent_knows_the_mark_that_the_installer_writes(site):
    install(site)
    head = head_of(site / "sda", 100)
    assert head.startswith(AGENT_MARK + UUID.encode() + b"\n")
    assert bootdisk.MARK == AGENT_MARK


def test_an_image_with_another_digest_is_not_made_bootable(site):
    (site / "assets/v1/SHA512SUMS").write_text(f"{'0' * 128}  root.tar.zst\n")
    done = install(site)
    assert done.returncode == 1
    assert "SHA-512" in done.stderr
    assert bootdisk.read_record(site / "sda") is None
    assert head_of(site / "sda", 19) == bootdisk.MARK


def test_an_image_that_is_not_there_costs_nothing_on_the_disk(site):
    done = install(site, ENJOLIVER_INSTALL_VERSION="v2")
    assert done.returncode != 0
    assert (site / "sda").stat().st_blocks == 0
    assert not (site / "disks").exists()


def test_installing_again_takes_the_old_install_out_of_force_first(site):
    install(site)
    (site / "disks/sda/upper").mkdir()
    (site / "assets/v1/SHA512SUMS").write_text(f"{'0' * 128}  root.tar.zst\n")
    install(site)
    assert bootdisk.read_record(site / "sda") is None
    assert not (site / "disks/sda/upper").exists()


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\0" * 8192,
        b"ENJOLIVER-LAB-DISK x\n".ljust(4096, b"\0") + b"\0" * 4096,
        b"ENJOLIVER-LAB-DISK x\n".ljust(4096, b"\0") + b"ENJOLIVER-LAB-BOOT 12 12\n",
        b"x".ljust(4096, b"\0") + b"ENJOLIVER-LAB-BOOT " + b"a" * 128 + b" 12\n" + b"\0" * 99,
        b"ENJOLIVER-LAB-DISK x\n".ljust(4096, b"\0")
        + (b"ENJOLIVER-LAB-BOOT " + b"a" * 128 + b" 12\nmore"),
    ],
)
def test_anything_but_a_whole_install_does_not_boot(head):
    assert bootdisk.parse_record(head) is None


def test_staging_puts_config_keep_paths_and_flag(tmp_path):
    config = tmp_path / "next.ign"
    config.write_text("{}")
    oem = tmp_path / "oem"
    oem.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "ENJOLIVER_LAB_OEM": str(oem),
        "ENJOLIVER_STAGE_IGNITION": str(config),
        "KUBERNETES_ETCD_DATA_DIR": "/mnt/etcd",
        "ENJOLIVER_AGENT_KEEP_PATHS": "/srv/a /srv/b*",
    }
    for _ in range(2):  # the agent may call it again after a loss of power
        subprocess.run([SCRIPTS / "stage"], env=environment, check=True, timeout=300)
    assert (oem / "config.ign").read_text() == "{}"
    assert (oem / "first-boot").exists()
    keep = (oem / "keep-paths").read_text().split()
    assert {"/var/lib/etcd*", "/mnt/etcd", "/srv/a", "/srv/b*", "/var/lib/containerd"} <= set(keep)


@pytest.mark.parametrize(
    ("strategy", "called", "has_flag"),
    [("kexec", "reboot", True), ("reboot", "reboot", False), ("poweroff", "poweroff", False)],
)
def test_restarting_asks_systemd_and_kexec_leaves_word(tmp_path, strategy, called, has_flag):
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\n')
    systemctl.chmod(systemctl.stat().st_mode | stat.S_IXUSR)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "ENJOLIVER_LAB_OEM": str(tmp_path),
        "ENJOLIVER_RESTART": strategy,
    }
    subprocess.run([SCRIPTS / "restart"], env=environment, check=True, timeout=300)
    assert (tmp_path / "called").read_text().strip() == called
    assert (tmp_path / "kexec").exists() is has_flag
