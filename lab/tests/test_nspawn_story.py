"""Three control-plane machines and two nodes as containers, from nothing to the end of the story.

`make lab-test` runs it, as root. One lab lives through all of it, so the steps are one test.
"""

from __future__ import annotations

import base64
import json
import os
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.bringup import up
from lab.drivers.nspawn import bootdisk
from lab.http import NoAnswer, ask
from lab.lab import open_lab
from lab.paths import LabPaths
from lab.tests.outside import watched
from lab.tests.story import CONTROL_PLANE, NODE, Story, told
from lab.topology import DiskSpec, LabMachine, MachineSpec
from lab.wait import until
from lab.watch import Watch

pytestmark = [pytest.mark.lab, pytest.mark.ignition]

RACKS = {"m1": "1", "m2": "1", "m3": "2", "m4": "2", "m5": "3"}
SIZE = 3
REPORT_SECONDS = 3
STRATEGIES = ("reboot", "kexec", "reboot", "kexec", "reboot")


@pytest.fixture
def story(tmp_path, own_topology, capsys):
    """A lab of five that is not made yet, and of which nothing is left behind."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    specs = tuple(MachineSpec(name, memory_mib=768, rack=rack) for name, rack in RACKS.items())
    topology = replace(
        own_topology,
        specs=specs,
        control_plane=SIZE,
        values={"lifecycle_update_polling_seconds": REPORT_SECONDS},
    )
    with told(LabPaths(tmp_path, topology.name), topology, say) as one:
        yield one


def test_five_machines_from_nothing_through_all_that_can_happen(story):
    with story.telling("come up, one killed in the middle of its install"):
        since = up(story.lab, Watch(story.lab, story.say), story.say)
        assert set(since) == set(RACKS)
        victim = kill_in_the_middle_of_an_install(story)
        story.driver.power_on(victim)
        story.wait_up_to_date(0)
        phases = [phase for _, phase, _ in story.driver.folder(victim).read_phases()]
        kept = [phase for phase in phases if phase != "firmware"]
        assert kept == ["discovery", "discovery", "installed"], f"{victim.name}: {kept}"
    with story.telling("spread over racks by LLDP"):
        check_spread(story)
    with story.telling("a changed value rolls through, one machine at a time"):
        roll_a_value_through(story)
    with story.telling("the engine is away"):
        engine_goes_away(story)
    with story.telling("a reinstall keeps the machine's identity"):
        reinstall(story)
    with story.telling("a disk with data is refused"):
        refuse_a_disk_with_data(story)


def kill_in_the_middle_of_an_install(story: Story) -> LabMachine:
    """Pull the plug of the first machine whose disk has the mark and no boot record yet.

    One that was faster than the plug goes on, and the next one is waited for.
    """
    tried: set[str] = set()

    def is_installing(machine: LabMachine) -> bool:
        with story.disk(machine).open("rb") as disk:
            head = disk.read(2 * bootdisk.BLOCK)
        return head.startswith(bootdisk.MARK) and bootdisk.parse_record(head) is None

    def find_installing() -> LabMachine | None:
        others = (machine for machine in story.machines if machine.name not in tried)
        return next((machine for machine in others if is_installing(machine)), None)

    while True:
        victim = until(find_installing, seconds=1800, what="an install", every=0.002)
        story.driver.power_off(victim, is_hard=True)
        assert story.driver.state(victim).power == "off"
        if bootdisk.read_record(story.disk(victim)) is None:
            break
        story.say(f"{victim.name} was done before it was killed")
        tried.add(victim.name)
        assert len(tried) < len(story.machines), "each was done before it was killed"
        story.driver.power_on(victim)
    story.say(f"{victim.name} was killed in the middle of its install")
    return victim


def check_spread(story: Story) -> None:
    chassis = {}
    for machine in story.machines:
        (neighbour,) = story.show(machine)["neighbours"]
        assert neighbour["chassis"] == machine.chassis
        assert neighbour["port"] == f"p{machine.position}"
        chassis[machine.name] = neighbour["chassis"]
    views = story.views()
    chosen = [name for name, view in views.items() if view.roles == CONTROL_PLANE]
    nodes = [name for name, view in views.items() if view.roles == NODE]
    assert (len(chosen), len(nodes)) == (SIZE, 2), str(views)
    assert len({chassis[name] for name in chosen}) == SIZE, f"{chosen} of {chassis}"


def roll_a_value_through(story: Story) -> None:
    changed_at = time.time()
    story.engine.manage("values", "set", "etc_hosts=192.0.2.7 changed.lab.test")
    story.wait(
        lambda: all(view.is_up_to_date is False for view in story.views().values()),
        "every machine outdated",
    )
    assert story.times_away(changed_at) == [], "a machine restarted without leave"
    granted_at = time.time()
    most_held = 0

    def is_done() -> bool:
        nonlocal most_held
        most_held = max(most_held, story.slots_held())
        views = story.views()
        return bool(views) and all(view.is_up_to_date for view in views.values())

    with watched(story.machines) as outside:
        for machine, strategy in zip(story.machines, STRATEGIES, strict=True):
            grant(story, machine, strategy)
        story.wait(is_done, "all machines up to date again", 3600)
        story.wait(lambda: story.slots_held() == 0, "the last slot given back")
    away = story.one_by_one(granted_at)
    assert sorted(name for _, _, name in away) == sorted(RACKS), str(away)
    assert most_held == 1
    assert outside.most == 1, str(outside.seen)
    assert outside.ever_down == set(RACKS)
    check_strategies(story)


def grant(story: Story, machine: LabMachine, strategy: str) -> None:
    """Let one machine update, as an operator does by HTTP."""
    password = (story.lab.paths.engine / "admin-password").read_text().strip()
    token = base64.b64encode(f"admin:{password}".encode()).decode()
    query = f"uuid={machine.uuid}&mac={machine.mac}&os=installed"
    request = urllib.request.Request(
        f"{story.engine.url}/lifecycle/rolling/{query}",
        data=json.dumps({"strategy": strategy}).encode(),
        headers={"Authorization": f"Basic {token}"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert answer.status == 200


def check_strategies(story: Story) -> None:
    """Who was told to use kexec asked no firmware; everybody has the new value."""
    for machine, strategy in zip(story.machines, STRATEGIES, strict=True):
        assert story.asked_firmware(machine) is (strategy != "kexec")
        assert "changed.lab.test" in story.hosts(machine)


def engine_goes_away(story: Story) -> None:
    """It stops; a machine restarts meanwhile, from its disk; it comes back and hears of all."""
    story.engine.stop()
    with pytest.raises(NoAnswer):
        ask(f"{story.engine.url}/livez")
    restarted, cut = story.machines[0], time.time()
    story.driver.reset(restarted)
    story.wait(lambda: story.is_back(restarted, cut), "a start from the disk without an engine")
    waited = time.monotonic() + 2 * REPORT_SECONDS
    story.wait(lambda: time.monotonic() > waited, "reports that nobody takes")
    story.engine.start()
    story.wait_up_to_date(time.time())
    assert len(story.times_away(cut)) == 1


def identity(story: Story, machine: LabMachine) -> Mapping[str, Any]:
    view, facts = story.views()[machine.name], story.show(machine)
    boot = next(one for one in facts["interfaces"] if one["is_boot"])
    etc = story.driver.folder(machine).disks / "sda/upper/etc"
    return {
        "roles": view.roles,
        "fqdn": boot["fqdn"],
        "address": boot["address"],
        "uuid": facts["uuid"],
        "host name": (etc / "hostname").read_text(),
        "machine id": (etc / "machine-id").read_text(),
    }


def reinstall(story: Story) -> None:
    machine = next(one for one in story.machines if story.views()[one.name].roles == NODE)
    before, installed_at = identity(story, machine), story.show(machine)["installed_at"]
    old = story.driver.folder(machine).disks / "sda/upper/etc/only-in-the-old-install"
    old.write_text("x")
    story.engine.manage("machine", "reinstall", machine.fqdn, "--reason", "the story asks for it")
    story.driver.reset(machine)
    # First the install: a report from shortly before the reset would pass for one of after it.
    story.wait(
        lambda: (story.show(machine)["installed_at"] or "") > installed_at,
        f"{machine.name} installed anew",
    )
    story.wait_up_to_date(time.time(), names={machine.name})
    facts = story.show(machine)
    assert facts["reinstall_requested_at"] is None
    assert not old.exists()
    assert identity(story, machine) == before


def refuse_a_disk_with_data(story: Story) -> None:
    """A sixth machine, whose only disk holds a file system: it says no, and writes nothing."""
    wrong = MachineSpec("m6", memory_mib=768, rack="3", disks=(DiskSpec("sda", content="data"),))
    topology = replace(story.lab.topology, specs=(*story.lab.topology.specs, wrong))
    story.lab = open_lab(story.lab.paths, topology)
    machine = story.machines[-1]
    started = time.time()
    before: dict[int, bytes] = {}

    def note_disk(text: str) -> None:
        story.say(text)
        if not before and story.disk(machine).exists():
            before.update(data_of(story.disk(machine)))

    up(story.lab, Watch(story.lab, note_disk), note_disk)
    assert before, "the disk was not looked at before the machine was switched on"

    def has_failed() -> bool:
        return any(
            report["mac"] == machine.mac and not report["success"]
            for report in story.ask("/lifecycle/coreos-install").json()
        )

    story.wait(has_failed, "the report of a failed install")
    assert data_of(story.disk(machine)) == before
    console = story.driver.console(machine)
    words = "it carries data: a ext4 signature"
    # It reports before it says so, and its journal brings that to the console somewhat later.
    story.wait(lambda: words in console.read_text(errors="replace"), f"{words!r} on its console")
    story.wait_up_to_date(started, names=set(RACKS))


def data_of(disk: Path) -> dict[int, bytes]:
    """All blocks of a sparse file that are not zero, by their place.

    Blocks that were read may count as data for the file system, though nobody wrote them.
    """
    found: dict[int, bytes] = {}
    at = 0
    with disk.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        while at < size:
            try:
                start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                break
            at = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            for place in range(start, at, 4096):
                block = os.pread(file.fileno(), 4096, place)
                if block.strip(b"\0"):
                    found[place] = block
    return found
