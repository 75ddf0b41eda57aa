"""Platforms: which programs are called, and what is recognised as an own install."""

import json

import pytest

from agent.config import BadSetting, Config
from agent.facts.disks import Disk, parse
from agent.install import look_at
from agent.platforms.base import PlatformFailed
from agent.platforms.choice import find_platform
from agent.platforms.flatcar import FlatcarPlatform, kexec_arguments, owner_of
from agent.platforms.lab import MARK, LabPlatform
from agent.signatures import Probe, write_claim
from agent.tests.engines import role_config
from agent.tests.machines import GIB, UUID, FakeMachine

FLATCAR = ("EFI-SYSTEM", "BIOS-BOOT", "USR-A", "USR-B", "OEM", "OEM-CONFIG", "ROOT")
OTHER = "00000000-1111-2222-3333-444444444444"


def disk(*labels, **facts):
    parts = tuple((label, f"/dev/sda{at}") for at, label in enumerate(labels, 1))
    return Disk("/dev/sda", 20 * GIB, parts=parts, **facts)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Stand-ins for the platform's programs: each notes how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    log = tmp_path / "called"
    for name in ("flatcar-install", "flatcar-reset", "systemctl", "kexec", "mount", "umount"):
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def called(tmp_path):
    return (tmp_path / "called").read_text().splitlines()


def config(tmp_path, **values):
    root = {"ENJOLIVER_AGENT_ROOT": str(tmp_path / "root")}
    return Config({**root, **{f"ENJOLIVER_{name}": text for name, text in values.items()}})


def test_flatcar_is_installed_with_release_place_and_config(tmp_path, programs):
    told = config(tmp_path, INSTALL_BASE_URL="http://e/assets", INSTALL_VERSION="4081.2.0")
    FlatcarPlatform(told).install(tmp_path / "sda", tmp_path / "x.ign", UUID)
    assert called(tmp_path) == [
        f"flatcar-install -d {tmp_path}/sda -i {tmp_path}/x.ign -b http://e/assets -V 4081.2.0"
    ]


def test_a_reset_keeps_the_machines_id_its_data_and_the_agents_state(tmp_path, programs):
    told = Config({**config(tmp_path).values, "VAULT_ETCD_DATA_DIR": "/data/vault"})
    FlatcarPlatform(told).stage(tmp_path / "x.ign")
    (line,) = called(tmp_path)
    assert line.startswith("flatcar-reset --keep-machine-id --keep-paths ")
    assert line.endswith(f" --ignition-file {tmp_path}/x.ign")
    for kept in ("/var/lib/etcd.*", "/var/lib/containerd", "/var/lib/enjoliver", "/data/vault"):
        assert f" {kept} " in line


def test_kexec_runs_ignition_once_more_and_falls_back_to_a_reboot(tmp_path, programs):
    machine = FakeMachine(tmp_path / "root")
    platform = FlatcarPlatform(config(tmp_path))
    machine.write("proc/cmdline", "BOOT_IMAGE=/flatcar/vmlinuz-a quiet flatcar.first_boot=1")
    machine.write("etc/machine-id", "abc")
    platform.restart("kexec")
    wanted = "--command-line=quiet flatcar.first_boot=detected systemd.machine_id=abc"
    assert called(tmp_path) == [f"kexec --load /boot/flatcar/vmlinuz-a {wanted}", "systemctl kexec"]
    (programs / "kexec").write_text("#!/bin/sh\nexit 1\n")
    platform.restart("kexec")
    machine.write("proc/cmdline", "quiet")
    platform.restart("kexec")
    assert called(tmp_path)[2:] == ["systemctl reboot"] * 2
    platform.restart("poweroff")
    assert called(tmp_path)[-1] == "systemctl poweroff"


def test_a_kexec_that_systemd_refuses_becomes_a_reboot(tmp_path, programs):
    FakeMachine(tmp_path / "root").write("proc/cmdline", "BOOT_IMAGE=/flatcar/vmlinuz-a")
    log = tmp_path / "called"
    refuse = f'#!/bin/sh\necho "systemctl $*" >> {log}\ntest $1 != kexec\n'
    (programs / "systemctl").write_text(refuse)
    FlatcarPlatform(config(tmp_path)).restart("kexec")
    assert called(tmp_path)[1:] == ["systemctl kexec", "systemctl reboot"]


def test_kernel_file_and_arguments_of_kexec():
    line = "BOOT_IMAGE=(hd0,gpt1)/flatcar/vmlinuz-b a=b flatcar.first_boot=detected"
    assert kexec_arguments(line, "") == (
        "/flatcar/vmlinuz-b",
        "a=b flatcar.first_boot=detected",
    )
    assert kexec_arguments("a=b", "id")[0] == ""


def test_a_program_that_fails_says_its_last_line(tmp_path, programs):
    (programs / "flatcar-install").write_text("#!/bin/sh\necho no such image >&2\nexit 3\n")
    with pytest.raises(PlatformFailed, match="status 3: no such image"):
        FlatcarPlatform(config(tmp_path)).install(tmp_path / "sda", tmp_path / "x", UUID)


def test_only_flatcars_partitions_and_no_other_are_an_install(tmp_path):
    platform, found = FlatcarPlatform(config(tmp_path)), Probe(b"", ())
    assert platform.is_own_layout(disk(*FLATCAR), found)
    assert not platform.is_own_layout(disk(*FLATCAR, "data"), found)
    assert not platform.is_own_layout(disk(*FLATCAR, ""), found)
    assert not platform.is_own_layout(disk("OEM"), found)
    assert not platform.is_own_layout(disk(), found)


def test_what_spans_disks_is_no_install_whatever_its_labels_say(tmp_path):
    """Labels are easily given: an array over a partition ROOT may be half of somebody's data."""
    platform, found = FlatcarPlatform(config(tmp_path)), Probe(b"", ())
    assert not platform.is_own_layout(disk(*FLATCAR, "ROOT"), found)
    assert not platform.is_own_layout(disk(*FLATCAR, volumes=("md127",)), found)
    lab = LabPlatform(config(tmp_path, AGENT_OWN_LABELS="LAB-ROOT"))
    assert not lab.is_own_layout(disk("LAB-ROOT", volumes=("vg-data",)), found)
    marked = Probe(MARK + UUID.encode() + b"\n", ())
    assert not lab.is_own_layout(disk(volumes=("mpatha",)), marked)


@pytest.mark.parametrize(
    ("child", "is_volume"),
    [
        ({"type": "part", "fstype": "ext4"}, False),
        ({"type": "part", "fstype": "crypto_LUKS"}, False),
        ({"type": "part", "fstype": "linux_raid_member"}, True),
        ({"type": "part", "fstype": "LVM2_member"}, True),
        ({"type": "part", "fstype": "zfs_member"}, True),
        ({"type": "part", "fstype": "ceph_bluestore"}, True),
        ({"type": "mpath"}, True),
        ({"type": "part", "children": [{"name": "vg-data", "type": "lvm"}]}, True),
    ],
)
def test_what_spans_disks_is_known_by_lsblk(child, is_volume):
    device = {"name": "sda", "type": "disk", "size": 20 * GIB}
    said = {"blockdevices": [{**device, "children": [{"name": "sda1", **child}]}]}
    (found,) = parse(json.dumps(said))
    assert bool(found.volumes) == is_volume


def test_the_owner_of_an_install_stands_in_its_config(tmp_path, programs):
    document = tmp_path / "config.ign"
    document.write_bytes(role_config())
    (programs / "mount").write_text(f'#!/bin/sh\ncp {document} "$4"\n')
    (programs / "umount").write_text('#!/bin/sh\nrm "$1/config.ign"\n')
    platform = FlatcarPlatform(config(tmp_path))
    assert platform.read_owner(disk(*FLATCAR), Probe(b"", ())) == UUID
    (programs / "mount").write_text("#!/bin/sh\nexit 32\n")
    assert platform.read_owner(disk(*FLATCAR), Probe(b"", ())) == ""
    assert owner_of(b"<html>") == ""


def test_lab_disks_are_recognised_by_mark_or_labels(tmp_path):
    platform = LabPlatform(config(tmp_path, AGENT_OWN_LABELS="LAB-BOOT, LAB-ROOT"))
    marked = Probe(MARK + UUID.encode() + b"\n", ())
    assert platform.is_own_layout(disk(), marked)
    assert platform.read_owner(disk(), marked) == UUID
    assert platform.is_own_layout(disk("LAB-BOOT", "LAB-ROOT"), Probe(b"", ()))
    assert not platform.is_own_layout(disk("LAB-BOOT", "data"), marked)
    assert not LabPlatform(config(tmp_path)).is_own_layout(disk("LAB-BOOT"), Probe(b"", ()))
    with pytest.raises(PlatformFailed, match="AGENT_STAGE_COMMAND is not set"):
        platform.stage(tmp_path)


@pytest.mark.parametrize(
    ("mark", "claim", "is_own", "has_content"),
    [
        (UUID, "", True, True),
        (OTHER, "", False, True),
        ("", UUID, False, False),
        ("", OTHER, False, True),
        (UUID, OTHER, False, True),
    ],
    ids=["own", "another's", "begun", "begun by another", "claimed by another"],
)
def test_whose_install_a_disk_carries(start, machine, mark, claim, is_own, has_content):
    path = machine.add_disk("sda", 20 * GIB, content=MARK + mark.encode() + b"\n" if mark else b"")
    if claim:
        write_claim(path, claim)
    run = start("install")
    found = look_at(run, LabPlatform(run.config), Disk("/dev/sda", 20 * GIB), UUID)
    assert (found.is_own, bool(found.content)) == (is_own, has_content)


def test_a_disk_that_cannot_be_read_is_not_written_to(start):
    run = start("install")
    found = look_at(run, LabPlatform(run.config), Disk("/dev/none", 20 * GIB), UUID)
    assert "cannot be read" in found.content[0]


def test_the_platform_is_found_by_the_systems_name(tmp_path):
    machine = FakeMachine(tmp_path / "root")
    machine.write("etc/os-release", 'NAME="Flatcar"\nID=flatcar\n')
    assert find_platform(config(tmp_path)).name == "flatcar"
    assert find_platform(config(tmp_path, AGENT_PLATFORM="lab")).name == "lab"
    machine.write("etc/os-release", "ID=debian\n")
    with pytest.raises(BadSetting, match="debian"):
        find_platform(config(tmp_path))
