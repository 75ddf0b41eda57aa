"""The agent finds the machine's own firmware and disks in the files that the driver lays out."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from agent.config import Config
from agent.diskchoice import NoDisk, Wish, choose
from agent.facts import boot, disks, hardware
from agent.facts.sources import Sources
from agent.install import look_at
from agent.platforms.lab import LabPlatform
from agent.run import make_run
from lab.drivers.nspawn import hardware as lab_hardware
from lab.topology import DiskSpec, LabMachine, MachineSpec

NETWORK = IPv4Network("10.78.0.0/24")


def machine_with(*found: DiskSpec) -> LabMachine:
    spec = MachineSpec("m1", memory_mib=768, cpus=2, disks=found)
    return LabMachine(spec, "test", 1, NETWORK)


@pytest.fixture
def laid_out(tmp_path: Path):
    """Lays out a machine; its hardware folder."""

    def lay_out(machine: LabMachine) -> Path:
        lab_hardware.lay_out(tmp_path, machine)
        lab_hardware.write_lsblk(tmp_path)
        return tmp_path

    return lay_out


def test_identity_cpus_and_memory_are_the_machines_own(laid_out):
    machine = machine_with(DiskSpec("sda"))
    sources = Sources(Path("/"), laid_out(machine))
    facts = hardware.read(sources)
    assert boot.read_uuid(sources) == machine.uuid
    assert (facts.serial, facts.cpu_count) == (machine.serial, 2)
    assert facts.memory_bytes == 768 << 20
    assert facts.product == "Enjoliver Lab Container"


def test_disks_are_the_machines_own_and_nothing_of_the_computers(laid_out):
    machine = machine_with(DiskSpec("sda", 12), DiskSpec("sdb", 20, is_rotational=True))
    found = disks.read(Sources(Path("/"), laid_out(machine)))
    told = [(one.path, one.size_bytes >> 30, one.is_rotational, one.content) for one in found]
    assert told == [("/dev/sda", 12, False, ()), ("/dev/sdb", 20, True, ())]
    assert found[0].serial != found[1].serial


def judge(folder, machine):
    config = Config({"ENJOLIVER_AGENT_HARDWARE": str(folder)})
    run = make_run(config, "install")
    platform = LabPlatform(config)
    listed = disks.read(run.sources)
    return choose([look_at(run, platform, one, machine.uuid) for one in listed], Wish())


def test_an_empty_disk_is_taken(laid_out):
    machine = machine_with(DiskSpec("sda", 12))
    assert judge(laid_out(machine), machine).disk.path == "/dev/sda"


def test_somebodys_file_system_is_seen_as_data(laid_out):
    machine = machine_with(DiskSpec("sda", 12, content="data"))
    folder = laid_out(machine)
    assert disks.read(Sources(Path("/"), folder))[0].content == ("a ext4 signature",)
    with pytest.raises(NoDisk, match="carries data"):
        judge(folder, machine)


def test_data_that_came_later_is_seen_at_the_next_start(laid_out):
    machine = machine_with(DiskSpec("sda", 12))
    folder = laid_out(machine)
    with (folder / "dev/sda").open("r+b") as disk:
        disk.seek(510)
        disk.write(b"\x55\xaa")
    lab_hardware.write_lsblk(folder)
    with pytest.raises(NoDisk):
        judge(folder, machine)


def test_laying_out_again_leaves_the_disks_as_they_are(laid_out):
    machine = machine_with(DiskSpec("sda", 12))
    disk = laid_out(machine) / "dev/sda"
    disk.write_bytes(b"mine")
    laid_out(machine)
    assert disk.read_bytes() == b"mine"


def test_a_disk_takes_no_room_before_something_is_written(laid_out):
    disk = laid_out(machine_with(DiskSpec("sda", 500))) / "dev/sda"
    assert disk.stat().st_size == 500 << 30
    assert disk.stat().st_blocks == 0
