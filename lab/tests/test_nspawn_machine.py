"""Container machines that really boot, without any engine: isolation, power, crashes, kept data."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lab.drivers.base import DriverFailed
from lab.drivers.nspawn import NspawnDriver, bootdisk
from lab.drivers.nspawn.cgroups import MOUNTS
from lab.image.root import FILES
from lab.topology import DiskSpec, MachineSpec
from lab.wait import until

pytestmark = [pytest.mark.lab, pytest.mark.ignition]

REPORT = "/oem/report"
# Runs on the machine, as root, in the machine's own control groups.
PROBE = f"""#!/bin/bash
exec >{REPORT}.new 2>&1
device=$(cat /etc/device)
echo "lsblk=$(lsblk --noheadings | wc -l)"
echo "sysfs=$(ls /sys/block /sys/class/block /sys/dev/block | grep -c -v -e : -e '^$')"
echo "partitions=$(wc -l </proc/partitions)"
echo "dmi=$(cat /sys/class/dmi/id/product_uuid 2>/dev/null)"
echo "own=$(cat /lab/hardware/sys/class/dmi/id/product_uuid)"
mknod /root/disk b "${{device%:*}}" "${{device#*:}}" && echo made=yes
dd if=/root/disk of=/dev/null count=1 && echo opened=yes
for rule in a "b $device rwm"; do
  echo "$rule" >/sys/fs/cgroup/devices/devices.allow && echo allowed=yes
done
mknod /root/disk b "${{device%:*}}" "${{device#*:}}" && echo made=yes
mknod /root/null c 1 3 && echo null=yes
modprobe loop && echo module=yes
echo "boot=$(cat /proc/sys/kernel/random/boot_id)"
echo "id=$(cat /etc/machine-id)"
echo "name=$(cat /etc/hostname)"
mkdir -p /var/lib/etcd3 && echo "$(cat /proc/sys/kernel/random/boot_id)" >>/var/lib/etcd3/boots
echo "boots=$(wc -l </var/lib/etcd3/boots)"
touch /etc/left-by-this-config
echo "running=$(systemctl is-system-running --wait)"
mv {REPORT}.new {REPORT}
"""
UNIT = """[Unit]
After=network-online.target
Wants=network-online.target
[Service]
ExecStart=/etc/probe
[Install]
WantedBy=multi-user.target
"""


def entry(path, text, mode=0o644):
    source = "data:;base64," + base64.b64encode(text.encode()).decode()
    contents = {"source": source}
    return {"path": path, "mode": mode, "overwrite": True, "contents": contents}


def openable_device():
    """Numbers of a block device that may be opened out here: a disk, else a loop device."""
    devices = sorted(Path("/sys/block").iterdir(), key=lambda path: path.name.startswith("loop"))
    for device in devices:
        try:
            with (Path("/dev") / device.name).open("rb"):
                return (device / "dev").read_text().strip()
        except OSError:
            continue
    return pytest.fail("no block device can be opened out here, so nothing would be proven")


def config(name):
    """An Ignition config whose unit reports what the machine can reach."""
    files = [
        entry("/etc/probe", PROBE, 0o755),
        entry("/etc/hostname", f"{name}\n"),
        entry("/etc/device", f"{openable_device()}\n"),
    ]
    units = [{"name": "probe.service", "enabled": True, "contents": UNIT}]
    document = {"ignition": {"version": "3.4.0"}, "storage": {"files": files}}
    return json.dumps({**document, "systemd": {"units": units}})


@pytest.fixture
def lab(paths, own_topology, network):
    """Driver and machine in a network of their own; a place to install from."""
    disks = (DiskSpec("sda"), DiskSpec("sdb", content="data"))
    spec = MachineSpec("m1", memory_mib=512, disks=disks)
    topology = replace(own_topology, specs=(spec,))
    network.up()
    driver = NspawnDriver(paths, topology, network)
    assert driver.missing() == []
    (machine,) = topology.machines
    driver.define(machine)
    yield driver, machine
    driver.remove(machine)
    assert not paths.machine(machine.name).exists()
    assert not list(MOUNTS.glob(f"*/{network.machine_namespace(machine)}"))


def install(driver, machine, name="one"):
    """What the discovery system does, by the image's own installer."""
    folder = driver.folder(machine)
    assets = {asset.path.rpartition("/")[2]: asset.source for asset in driver.prepare(print)}
    config_file = folder.root / "install.ign"
    config_file.write_text(config(name))
    where = assets["root.tar.zst"].parent
    environment = {
        "PATH": os.environ["PATH"],
        "ENJOLIVER_INSTALL_DISK": str(folder.hardware / "dev/sda"),
        "ENJOLIVER_INSTALL_IGNITION": str(config_file),
        "ENJOLIVER_UUID": machine.uuid,
        "ENJOLIVER_INSTALL_BASE_URL": f"file://{where.parent}",
        "ENJOLIVER_INSTALL_VERSION": where.name,
        "ENJOLIVER_LAB_DISKS": str(folder.disks),
    }
    script = FILES / "usr/lib/enjoliver-lab/install"
    subprocess.run([script], env=environment, check=True, timeout=600)


def report(driver, machine):
    """What the machine's unit says of this start."""
    path = driver.folder(machine).disks / "sda/oem/report"
    console = driver.console(machine)

    def words():
        return console.read_text(errors="replace")[-3000:] if console.exists() else ""

    until(path.exists, seconds=900, what="the machine's report", last=words)
    text = path.read_text()
    path.unlink()
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_a_machine_reaches_no_disk_and_no_firmware_but_its_own(lab):
    driver, machine = lab
    install(driver, machine)
    driver.power_on(machine)
    said = report(driver, machine)
    assert (said["lsblk"], said["sysfs"], said["partitions"]) == ("0", "0", "0")
    assert not {"made", "opened", "allowed", "module"} & said.keys(), said
    assert said["null"] == "yes"
    assert said["own"] == machine.uuid
    assert said["dmi"] in ("", machine.uuid)
    assert said["id"] == machine.uuid.replace("-", "")
    assert said["name"] == "one"
    assert said["running"] == "running"
    assert driver.state(machine).phase == "installed"
    data = driver.folder(machine).hardware / "dev/sdb"
    assert bootdisk.read_record(data) is None


def test_data_outlives_power_cuts_and_new_configs_and_nothing_else_does(lab):
    driver, machine = lab
    install(driver, machine)
    driver.power_on(machine)
    first = report(driver, machine)
    driver.reset(machine)
    second = report(driver, machine)
    assert (first["boots"], second["boots"]) == ("1", "2")
    assert second["boot"] != first["boot"]
    stage(driver, machine, "two")
    driver.reset(machine)
    third = report(driver, machine)
    assert (third["name"], third["boots"], third["id"]) == ("two", "3", first["id"])
    console = driver.console(machine).read_text(errors="replace")
    assert console.count("Ignition applied") == 2


def stage(driver, machine, name):
    """What the agent does on the running machine."""
    oem = driver.folder(machine).disks / "sda/oem"
    staged = driver.folder(machine).root / "next.ign"
    staged.write_text(config(name))
    environment = {
        "PATH": os.environ["PATH"],
        "ENJOLIVER_LAB_OEM": str(oem),
        "ENJOLIVER_STAGE_IGNITION": str(staged),
    }
    script = FILES / "usr/lib/enjoliver-lab/stage"
    subprocess.run([script], env=environment, check=True, timeout=300)


def test_a_killed_supervisor_takes_the_whole_machine_with_it(lab):
    driver, machine = lab
    install(driver, machine)
    driver.power_on(machine)
    report(driver, machine)
    supervisor = driver.folder(machine).read_supervisor()
    below = psutil.Process(supervisor.pid).children(recursive=True)
    assert len(below) > 5
    os.kill(supervisor.pid, signal.SIGKILL)
    psutil.wait_procs(below, timeout=120)
    assert not [one for one in below if one.is_running()]
    assert driver.state(machine).power == "off"
    driver.power_on(machine)
    assert report(driver, machine)["boots"] == "2"


def test_switched_off_in_order_its_system_shuts_down(lab):
    driver, machine = lab
    install(driver, machine)
    driver.power_on(machine)
    report(driver, machine)
    driver.power_off(machine)
    state = driver.state(machine)
    assert (state.power, state.detail) == ("off", "")
    console = driver.console(machine).read_text(errors="replace")
    assert "Reached target" in console
    assert "System Power Off" in console or "poweroff.target" in console or "halt" in console


def test_a_half_written_disk_does_not_boot(lab):
    driver, machine = lab
    install(driver, machine)
    disk = driver.folder(machine).hardware / "dev/sda"
    with disk.open("r+b") as file:
        file.seek(bootdisk.BLOCK)
        file.write(b"\0" * bootdisk.BLOCK)
    driver.power_on(machine)
    console = driver.console(machine)
    until(
        lambda: console.exists() and "found nothing to boot" in console.read_text(errors="replace"),
        seconds=600,
        what="the firmware's word",
    )
    state = driver.state(machine)
    assert (state.power, state.phase) == ("on", "firmware")


def test_an_image_that_was_spoilt_on_the_disk_is_not_booted(lab, tmp_path):
    driver, machine = lab
    install(driver, machine)
    folder = driver.folder(machine)
    # As on a computer that has not unpacked this image yet, so that it must be read off the disk.
    settings = replace(folder.read_settings(), cache=str(tmp_path / "cache"))
    folder.write_settings(settings)
    with (folder.hardware / "dev/sda").open("r+b") as file:
        file.seek(bootdisk.IMAGE_AT + 5000)
        file.write(b"spoilt")
    driver.power_on(machine)
    until(
        lambda: "SHA-512" in driver.state(machine).detail,
        seconds=600,
        what="the firmware's refusal",
    )


def test_disks_are_changed_only_while_the_machine_is_off(lab):
    driver, machine = lab
    install(driver, machine)
    driver.power_on(machine)
    with pytest.raises(DriverFailed, match="is on"):
        driver.break_disks(machine, "foreign-disk")
    driver.power_off(machine, is_hard=True)
    assert "sda, sdb" in driver.break_disks(machine, "foreign-disk")
    assert bootdisk.read_record(driver.folder(machine).hardware / "dev/sda") is None
    assert "sda is new" in driver.break_disks(machine, "lose-disk")
    assert (driver.folder(machine).hardware / "dev/sda").stat().st_blocks == 0


def test_everything_may_be_said_twice(lab):
    driver, machine = lab
    driver.define(machine)
    driver.power_off(machine)
    install(driver, machine)
    driver.power_on(machine)
    supervisor = driver.folder(machine).read_supervisor()
    driver.power_on(machine)
    assert driver.folder(machine).read_supervisor() == supervisor
    for _ in range(2):
        driver.power_off(machine, is_hard=True)
    for _ in range(2):
        driver.remove(machine)
    assert not driver.state(machine).is_defined
