"""Virtual machines with real firmware: one goes all the way, a second one reaches discovery.

`make lab-vm-test` runs it, as root. Minutes where the processor is emulated, so it is one test of
one lab, and its deadlines are long; the time of each step is printed.
"""

from __future__ import annotations

import base64
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from lab import netns
from lab.bringup import up
from lab.diagnosis import diagnose
from lab.drivers.base import DriverFailed
from lab.engine import OwnEngine
from lab.errors import LabFailed
from lab.fleetview import EngineView
from lab.http import NoAnswer
from lab.lab import Lab, open_lab
from lab.paths import LabPaths
from lab.programs import marked, run
from lab.sshkey import ssh_command
from lab.takedown import down
from lab.topology import LabMachine, MachineSpec
from lab.wait import until
from lab.watch import Watch

pytestmark = [pytest.mark.lab, pytest.mark.vm]

FIRST, SECOND = MachineSpec("m1", rack="1"), MachineSpec("m2", rack="2")
CONTROL_PLANE = "etcd-member,kubernetes-control-plane"
BOOT_SECONDS = 3600.0
"""From power-on to a first message, with an emulated processor on a computer that does more."""


@dataclass
class Story:
    """One lab, and how long each step of its story took."""

    lab: Lab
    say: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def engine(self) -> OwnEngine:
        assert isinstance(self.lab.engine, OwnEngine)
        return self.lab.engine

    @contextmanager
    def telling(self, step: str, *machines: str) -> Iterator[None]:
        """A step; its failure names it, its machines, their consoles' and journals' last lines."""
        started = time.monotonic()
        self.say(f"== {step}")
        try:
            yield
        except (AssertionError, LabFailed, DriverFailed, NoAnswer, OSError) as error:
            words = [f"step {step!r}: {error}", "engine:", self.engine.tail()]
            for name in machines:
                phase = self.lab.sights()[name].phase()
                words += diagnose(self.lab, name, phase, time.monotonic() - started).lines()
            raise AssertionError("\n".join(words)) from error
        self.seconds[step] = time.monotonic() - started

    def view(self, machine: LabMachine) -> EngineView:
        found = until(self.lab.engine_views, seconds=300, what="the engine's views")
        assert found is not None
        return found[machine.name]

    def wait(
        self, is_so: Callable[[], Any], what: str, machine: LabMachine, seconds: float
    ) -> None:
        """Until it is so; says each new phase of the machine."""
        said = ""

        def ask() -> bool:
            nonlocal said
            phase = self.lab.sights()[machine.name].phase()
            if phase != said:
                self.say(f"   {machine.name}: {phase}")
                said = phase
            return bool(is_so())

        until(ask, seconds=seconds, what=what, every=1.0, last=lambda: said)

    def ssh(self, machine: LabMachine, command: str) -> str:
        """What a command says on the machine; its agent may have reported before sshd listens."""
        words = ssh_command(self.lab.paths, machine, [command], seconds=120)
        problems: list[str] = []

        def said() -> tuple[str] | None:
            try:
                return (run(self.lab.driver.enter(machine, words), seconds=1800),)
            except LabFailed as error:
                problems[:] = [str(error)]
                return None

        what = f"`{command}` on {machine.name}"
        found = until(said, seconds=1800, what=what, every=2.0, last=lambda: problems[0])
        assert found is not None
        return found[0]

    def console(self, machine: LabMachine) -> str:
        return self.lab.driver.console(machine).read_text(errors="replace")

    def facts(self, machine: LabMachine) -> dict[str, Any]:
        found = json.loads(self.engine.manage("machine", "show", "--json", machine.mac))
        assert isinstance(found, dict)
        return found


@pytest.fixture
def story(tmp_path, own_topology, capsys):
    """A lab of one virtual machine that is not made yet, and of which nothing is left behind."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    topology = replace(own_topology, driver="libvirt", control_plane=1, specs=(FIRST,))
    told = Story(open_lab(LabPaths(tmp_path, topology.name), topology), say)
    yield told
    problems = down(told.lab, say)
    say("  ".join(f"{step}: {seconds:.0f} s" for step, seconds in told.seconds.items()))
    assert problems == []
    assert not [name for name in netns.namespaces() if topology.name in name]
    assert not marked(told.lab.paths.root)
    assert not list(Path("/run").glob(f"enj-{topology.name}*"))
    assert topology.name not in Path("/proc/self/mounts").read_text()


def test_a_machine_goes_from_its_firmware_to_up_to_date_and_a_second_one_is_discovered(story):
    (machine,) = story.lab.topology.machines
    with story.telling("lab comes up"):
        up(story.lab, Watch(story.lab, story.say), story.say)
    with story.telling("discovery over the network", "m1"):
        story.wait(lambda: story.view(machine).roles, "m1 having a role", machine, BOOT_SECONDS)
        check_facts(story, machine)
    with story.telling("install, start from the disk, report", "m1"):
        story.wait(
            lambda: story.view(machine).is_up_to_date, "m1 being up to date", machine, BOOT_SECONDS
        )
        check_installed(story, machine)
    with story.telling("a changed value by kexec", "m1"):
        change_by_kexec(story, machine)
    with story.telling("a second machine is discovered", "m2"):
        discover_a_second_one(story)


def check_facts(story: Story, machine: LabMachine) -> None:
    """What the machine told of itself is what its driver made."""
    # Its first message may go before it has heard the switch; then it sends another one.
    what = f"{machine.name} having told its neighbour"
    story.wait(lambda: story.facts(machine)["neighbours"], what, machine, BOOT_SECONDS)
    facts = story.facts(machine)
    assert facts["uuid"] == machine.uuid
    assert facts["serial"] == machine.serial
    (disk,) = facts["disks"]
    assert disk["serial"] == f"{machine.serial}-SDA"
    (neighbour,) = facts["neighbours"]
    assert neighbour["chassis"] == machine.chassis


def check_installed(story: Story, machine: LabMachine) -> None:
    """The real Ignition ran on the disk's first start, and firmware started the disk."""
    assert story.view(machine).roles == CONTROL_PLANE
    *_, network, last = story.console(machine).split("SeaBIOS (version")
    assert "lab: the system runs in RAM" in network
    assert "booting from its disk" in last
    assert "lab: the system runs from the disk" in last
    assert "files: op" in last
    # It reports while other units may still be starting.
    assert story.ssh(machine, "systemctl is-system-running --wait || true").strip() == "running"
    result = json.loads(story.ssh(machine, "sudo cat /etc/.ignition-result.json"))
    boot_id = story.ssh(machine, "cat /proc/sys/kernel/random/boot_id").strip()
    assert result["provisioningBootID"] == boot_id


def change_by_kexec(story: Story, machine: LabMachine) -> None:
    """A fresh root with the new value and the old data, without the firmware."""
    story.ssh(
        machine, "sudo mkdir -p /var/lib/etcd3/x && sudo touch /var/lib/etcd3/x/data /etc/old"
    )
    before = story.ssh(machine, "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub")
    starts = story.console(machine).count("SeaBIOS (version")
    story.engine.manage("values", "set", "etc_hosts=192.0.2.7 changed.lab.test")
    story.wait(
        lambda: story.view(machine).is_up_to_date is False,
        "m1 being outdated",
        machine,
        BOOT_SECONDS,
    )
    grant(story, machine, "kexec")
    story.wait(
        lambda: story.view(machine).is_up_to_date, "m1 being up to date", machine, BOOT_SECONDS
    )
    assert "changed.lab.test" in story.ssh(machine, "cat /etc/hosts")
    assert story.console(machine).count("SeaBIOS (version") == starts, "it went through firmware"
    left = story.ssh(machine, "ls -d /var/lib/etcd3/x/data /etc/old 2>/dev/null || true").split()
    assert left == ["/var/lib/etcd3/x/data"]
    after = story.ssh(machine, "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub")
    assert after == before


def grant(story: Story, machine: LabMachine, strategy: str) -> None:
    """Let the machine update, as an operator does by HTTP."""
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


def discover_a_second_one(story: Story) -> None:
    """The topology grows by a machine; what stands already is left alone."""
    topology = replace(story.lab.topology, specs=(FIRST, SECOND))
    story.lab = open_lab(story.lab.paths, topology)
    first, second = topology.machines
    starts = story.console(first).count("SeaBIOS (version")
    up(story.lab, Watch(story.lab, story.say), story.say)
    story.wait(lambda: story.view(second).fqdn, "m2 having told its facts", second, BOOT_SECONDS)
    check_facts(story, second)
    assert story.console(first).count("SeaBIOS (version") == starts
