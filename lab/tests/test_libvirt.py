"""The driver of virtual machines, as far as it goes without starting one."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lab.drivers.base import DriverFailed
from lab.drivers.libvirt import disks, flatcar, probe
from lab.drivers.libvirt.consoletext import phase_of, read_phase
from lab.drivers.libvirt.daemon import TEMPLATES, _with_user
from lab.drivers.libvirt.driver import LibvirtDriver
from lab.network import Network
from lab.paths import LabPaths
from lab.templating import fill
from lab.topology import DiskSpec, LabMachine, MachineSpec, Topology


@pytest.fixture
def machine():
    specs = (
        MachineSpec(
            "m1",
            memory_mib=1536,
            disks=(DiskSpec("sda"), DiskSpec("sdb", size_gib=20, is_rotational=True)),
        ),
    )
    return Topology(name="vms", driver="libvirt", specs=specs).machines[0]


def _domain(machine: LabMachine, *, is_kvm: bool) -> Any:
    """The description as a tree; untyped, since a test may expect what it asks for to be there."""
    text = fill(
        "domain.xml.j2",
        TEMPLATES,
        machine=machine,
        is_kvm=is_kvm,
        emulator="/usr/bin/qemu-system-x86_64",
        disks=disks.files_of(machine, Path("/state/a & b")),
        port="p1",
        console=Path("/state/a & b/console.log"),
    )
    return ElementTree.fromstring(text)


class TestDomain:
    def test_it_says_who_the_machine_is_where_the_agent_looks(self, machine):
        domain = _domain(machine, is_kvm=False)
        told = {one.get("name"): one.text for one in domain.iter("entry")}
        assert told["uuid"] == machine.uuid == domain.findtext("uuid")
        assert told["serial"] == machine.serial
        assert domain.find("os/smbios").get("mode") == "sysinfo"
        assert domain.find("devices/interface/mac").get("address") == machine.mac

    def test_the_network_is_booted_first_and_then_the_first_disk(self, machine):
        devices = _domain(machine, is_kvm=False).find("devices")
        orders = {
            one.get("order"): parent.tag for parent in devices for one in parent.findall("boot")
        }
        assert orders == {"1": "interface", "2": "disk"}
        assert devices.findall("disk")[1].find("boot") is None

    def test_disks_have_their_serials_their_kind_and_no_safety(self, machine):
        found = _domain(machine, is_kvm=False).findall("devices/disk")
        serials = [disk.findtext("serial") for disk in found]
        assert serials == [f"{machine.serial}-SDA", f"{machine.serial}-SDB"]
        rates = [disk.find("target").get("rotation_rate") for disk in found]
        assert rates == ["1", "7200"]
        assert {disk.find("driver").get("cache") for disk in found} == {"unsafe"}
        assert found[0].find("source").get("file") == "/state/a & b/sda.img"

    def test_emulation_is_bounded_and_kvm_uses_the_real_processor(self, machine):
        emulated, real = (_domain(machine, is_kvm=is_kvm) for is_kvm in (False, True))
        assert (emulated.get("type"), real.get("type")) == ("qemu", "kvm")
        assert emulated.findtext("features/tcg/tb-cache") == "128"
        assert real.find("features/tcg") is None
        assert real.find("cpu").get("mode") == "host-passthrough"

    def test_the_console_is_a_file_that_grows(self, machine):
        source = _domain(machine, is_kvm=False).find("devices/serial/source")
        assert source.get("path") == "/state/a & b/console.log"
        assert source.get("append") == "on"


class TestDisks:
    def test_a_new_disk_is_sparse_and_as_large_as_it_should_be(self, tmp_path):
        disks.make(tmp_path / "sda.img", DiskSpec("sda", size_gib=12), "empty")
        status = (tmp_path / "sda.img").stat()
        assert status.st_size == 12 << 30
        assert status.st_blocks < 100

    def test_a_disk_with_data_holds_a_file_system_that_is_not_ours(self, tmp_path):
        disks.make(tmp_path / "sda.img", DiskSpec("sda", size_gib=1), "data")
        said = subprocess.run(
            ["blkid", "--probe", "--output", "export", str(tmp_path / "sda.img")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert f"LABEL={disks.FOREIGN_LABEL}" in said


class TestProbe:
    def test_the_program_says_its_word_and_fits_its_headers(self):
        program = probe.tiny_program(b"hello\n")
        (entry,) = struct.unpack_from("<Q", program, 24)
        assert program[:4] == b"\x7fELF"
        assert program.endswith(b"hello\n")
        # The address that the first instructions name is where the text lies.
        at = program.index(b"\xbe", entry - probe._ORIGIN)
        (address,) = struct.unpack_from("<I", program, at + 1)
        assert program[address - probe._ORIGIN :] == b"hello\n"

    def test_the_wish_of_the_environment_goes_first(self, tmp_path, monkeypatch):
        for wish in ("kvm", "tcg"):
            monkeypatch.setenv("LAB_ACCEL", wish)
            assert probe.choose(tmp_path, tmp_path / "k", "/bin/false", print) == wish
        monkeypatch.setenv("LAB_ACCEL", "fast")
        with pytest.raises(DriverFailed, match="auto, kvm or tcg"):
            probe.choose(tmp_path, None, "/bin/false", print)

    def test_it_tries_once_a_boot_of_the_host_and_says_so_when_kvm_does_not_work(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.delenv("LAB_ACCEL", raising=False)
        monkeypatch.setattr(probe, "_DEVICE", tmp_path)
        tries: list[Path] = []

        def boots(kernel: Path, *_: Any) -> bool:
            tries.append(kernel)
            return False

        monkeypatch.setattr(probe, "boots", boots)
        said: list[str] = []
        for _ in range(2):
            assert probe.choose(tmp_path, tmp_path / "k", "/bin/false", said.append) == "tcg"
        assert len(tries) == 1
        assert "emulated" in said[-1]
        boot_id = tmp_path / "boot_id"
        boot_id.write_text("another boot")
        monkeypatch.setattr(probe, "_BOOT_ID", boot_id)
        probe.choose(tmp_path, tmp_path / "k", "/bin/false", said.append)
        assert len(tries) == 2

    def test_an_emulator_that_dies_or_hangs_is_no_success(self, tmp_path):
        (tmp_path / "hang").write_text("#!/bin/sh\necho LAB-PROBE\nexec sleep 60\n")
        (tmp_path / "hang").chmod(0o755)
        assert not probe.boots(tmp_path / "k", "/bin/false", "kvm")
        assert not probe.boots(tmp_path / "k", str(tmp_path / "hang"), "kvm", seconds=0.2)


class TestConsole:
    def test_the_last_mark_says_where_the_machine_is(self):
        firmware, ram = b"SeaBIOS (version 1.16)", b"dracut: lab: the system runs in RAM"
        disk = b"dracut: lab: the system runs from the disk"
        assert phase_of(firmware) == "firmware"
        assert phase_of(firmware + ram) == "discovery"
        assert phase_of(firmware + ram + firmware + disk) == "installed"
        assert phase_of(firmware + ram + firmware) == "firmware"
        assert phase_of(b"something else") == ""

    def test_a_console_that_is_not_there_says_nothing(self, tmp_path):
        assert read_phase(tmp_path / "console.log") == ""


class TestFlatcar:
    def test_a_whole_release_is_served_under_its_version(self, tmp_path, monkeypatch):
        for name in flatcar.FILES:
            (tmp_path / name).write_text("FLATCAR_BUILD=4230\nFLATCAR_VERSION=4230.2.3\n")
        monkeypatch.setenv("LAB_FLATCAR", str(tmp_path))
        found = flatcar.find_flatcar()
        assert found is not None
        assert found.values()["boot_kernel"] == f"4230.2.3/{flatcar.KERNEL}"
        assert found.values()["install_version"] == "4230.2.3"
        assert {asset.path for asset in found.assets()} == {
            f"4230.2.3/{name}" for name in flatcar.FILES
        }

    def test_a_folder_with_gaps_is_refused_by_name(self, tmp_path, monkeypatch):
        monkeypatch.setenv("LAB_FLATCAR", str(tmp_path))
        with pytest.raises(DriverFailed, match=flatcar.IMAGE):
            flatcar.find_flatcar()

    def test_without_the_setting_there_is_none(self, monkeypatch):
        monkeypatch.delenv("LAB_FLATCAR", raising=False)
        assert flatcar.find_flatcar() is None


def _driver(folder: Path, topology: Topology) -> LibvirtDriver:
    paths = LabPaths(folder, topology.name)
    return LibvirtDriver(paths, topology, Network(paths, topology))


class TestDriver:
    def test_too_little_memory_is_said_before_anything_is_made(self, tmp_path):
        specs = (MachineSpec("m1", memory_mib=512), MachineSpec("m2"))
        said = _driver(tmp_path, Topology(name="vms", driver="libvirt", specs=specs)).missing()
        assert [line for line in said if "memory" in line] == [
            "m1: a virtual machine needs at least 1024 MiB of memory."
        ]

    def test_values_that_name_a_kernel_mean_that_nothing_is_built(self, tmp_path, monkeypatch):
        monkeypatch.setenv("LAB_ACCEL", "tcg")
        values: dict[str, object] = {"boot_kernel": "x/vmlinuz", "boot_initrd": "x/initrd"}
        driver = _driver(tmp_path, Topology(name="vms", driver="libvirt", values=values))
        assert driver.prepare(print) == []
        assert driver.values("http://10.77.0.1:5000") == {}

    def test_machines_of_a_lab_that_does_not_stand_are_off(self, tmp_path):
        topology = Topology(name="vms", driver="libvirt")
        driver = _driver(tmp_path, topology)
        state = driver.state(topology.machines[0])
        assert (state.is_defined, state.power) == (False, "off")


def test_the_daemon_finds_the_user_that_it_insists_on(tmp_path):
    line = "libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin"
    (tmp_path / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    assert _with_user(tmp_path / "passwd", line).endswith(f"/bin/sh\n{line}\n")
    (tmp_path / "passwd").write_text("libvirt-qemu:x:1:1::/:/bin/sh\n")
    assert _with_user(tmp_path / "passwd", line) == "libvirt-qemu:x:1:1::/:/bin/sh\n"
