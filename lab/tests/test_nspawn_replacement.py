"""A member of the control plane loses its power and a spare takes its place, on real machines.

`make lab-test` runs it, as root. Three members and a spare live through all of it, so the steps
are one test.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from lab.bringup import up
from lab.faults import break_machine
from lab.lab import open_lab
from lab.paths import LabPaths
from lab.tests.story import CONTROL_PLANE, Story, told
from lab.topology import LabMachine, MachineSpec
from lab.wait import until
from lab.watch import Watch

pytestmark = [pytest.mark.lab, pytest.mark.ignition]

MEMBERS = {"m1": "1", "m2": "2", "m3": "3"}
SPARE = MachineSpec("m4", memory_mib=768, rack="2")
REPORT_SECONDS = 3
ADDRESSES = "ETCD_MEMBER_KUBERNETES_CONTROL_PLANE_IP_LIST"
KEPT = "sda/upper/var/lib/enjoliver/agent/membership.json"


@pytest.fixture
def story(tmp_path, own_topology, capsys):
    """A lab of three members that is not made yet, and of which nothing is left behind."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    specs = (MachineSpec(name, memory_mib=768, rack=rack) for name, rack in MEMBERS.items())
    topology = replace(
        own_topology,
        specs=tuple(specs),
        control_plane=len(MEMBERS),
        values={"lifecycle_update_polling_seconds": REPORT_SECONDS},
    )
    with told(LabPaths(tmp_path, topology.name), topology, say) as one:
        yield one


def test_a_spare_takes_the_place_of_a_member_that_lost_its_power(story):
    with story.telling("three members come up"):
        up(story.lab, Watch(story.lab, story.say), story.say)
        story.wait_up_to_date(0)
        assert {view.roles for view in story.views().values()} == {CONTROL_PLANE}
        members = story.machines
        check_membership(story, members, on=members)
    with story.telling("a spare waits"):
        spare = add_a_spare(story)
    first, dead, last = members
    boots = {one.name: boot_of(story, one) for one in (first, last)}
    with story.telling("a member loses its power"):
        cut_at = time.time()
        break_machine(story.lab, dead.name, "kill", story.say)
        assert story.driver.state(dead).power == "off"
    with story.telling("the operator replaces it"):
        replace_it(story, dead, spare)
    with story.telling("everybody knows the new member"):
        check_membership(story, (first, last, spare), on=(first, last, spare))
        assert {one.name: boot_of(story, one) for one in (first, last)} == boots
        assert story.times_away(cut_at, (first, last)) == []
    with story.telling("the old member is switched on again"):
        check_that_it_stays_out(story, dead)
        check_membership(story, (first, last, spare), on=(first, last, spare))
        assert {one.name: boot_of(story, one) for one in (first, last)} == boots


# Looking


def boot_of(story: Story, machine: LabMachine) -> str:
    return story.ssh(machine, "cat /proc/sys/kernel/random/boot_id").strip()


def addresses(machines: Iterable[LabMachine]) -> list[str]:
    """Their addresses, as the engine sorts them."""
    return [str(address) for address in sorted(one.address.ip for one in machines)]


def read_lines(text: str) -> dict[str, str]:
    """`KEY=value` lines, quoted or not."""
    lines = (line.partition("=") for line in text.splitlines())
    return {key: " ".join(shlex.split(value)) for key, _, value in lines}


def told_by_the_engine(story: Story, machine: LabMachine) -> dict[str, str]:
    query = f"uuid={machine.uuid}&mac={machine.mac}&os=installed"
    return read_lines(story.ask(f"/metadata?{query}").body.decode())


def check_membership(
    story: Story, members: Iterable[LabMachine], *, on: Iterable[LabMachine]
) -> None:
    """Engine, files for other programs and last good copies name these members and nobody else."""
    wanted = addresses(members)
    for role in CONTROL_PLANE.split(","):
        listed = story.ask(f"/scheduler/ip-list/{role}").json()
        assert listed == wanted, f"/scheduler/ip-list/{role}: {listed}, not {wanted}"
    for machine in on:
        seen: list[dict[str, str]] = []

        def have_followed(machine: LabMachine = machine, seen: list[dict[str, str]] = seen) -> bool:
            of_engine, kept = told_by_the_engine(story, machine), kept_by(story, machine)
            seen[:] = [of_engine, kept, file_of(story, machine)]
            return kept.get(ADDRESSES, "").split(",") == wanted and seen[2] == kept == {
                key: of_engine.get(key) for key in kept
            }

        # The roles are there first; metadata, the machine's copy and its file follow, in turn.
        until(
            have_followed,
            seconds=1800,
            what=f"{machine.name}: a membership.env with {wanted}",
            every=0.5,
            last=lambda seen=seen: str(seen),  # type: ignore[misc]
        )


def kept_by(story: Story, machine: LabMachine) -> dict[str, str]:
    """The machine's last good copy, off its disk; empty before the first."""
    file = story.driver.folder(machine).disks / KEPT
    found = json.loads(file.read_text()) if file.exists() else {}
    assert isinstance(found, dict)
    return found


def file_of(story: Story, machine: LabMachine) -> dict[str, str]:
    """What other programs on the machine read; empty before the agent wrote it."""
    return read_lines(story.ssh(machine, "cat /run/enjoliver/membership.env || true"))


def newest(story: Story) -> dict[str, Any]:
    found = story.manage_json("replace", "status")
    assert len(found) == 1, str(found)
    assert isinstance(found[0], dict)
    return found[0]


def why(story: Story, machine: LabMachine) -> str:
    (answer,) = story.manage_json("why", machine.mac)
    story.say(f"why {machine.name}: {answer['answer']}")
    return str(answer["answer"])


# The steps


def add_a_spare(story: Story) -> LabMachine:
    """A fourth machine, which a rule keeps free."""
    story.engine.manage("placement", "set", "control-plane", "spares=1")
    topology = replace(story.lab.topology, specs=(*story.lab.topology.specs, SPARE))
    story.lab = open_lab(story.lab.paths, topology)
    up(story.lab, Watch(story.lab, story.say), story.say)
    spare = story.machines[-1]

    def is_offered() -> bool:
        plan = story.manage_json("replace", "plan", story.machines[1].mac)
        return [one["mac"] for one in plan["spares"]] == [spare.mac]

    story.wait(is_offered, f"{spare.name} offered as a spare")
    assert story.views()[spare.name].roles == ""
    assert "spare" in why(story, spare)
    return spare


def replace_it(story: Story, dead: LabMachine, spare: LabMachine) -> None:
    (row,) = story.manage_json("replace", "start", dead.fqdn, "--reason", "dead board")
    assert (row["state"], row["step"], row["joining"]) == ("running", "install", spare.mac)
    said: list[str] = []

    def is_done() -> bool:
        now = newest(story)
        word = f"{now['step']}: {now['waits_for'] or now['state']}"
        if word not in said[-1:]:
            said.append(word)
            story.say(f"   replacement: {word}")
        return bool(now["state"] == "completed")

    story.wait(is_done, "the replacement's end", 3600)
    view = story.views()[spare.name]
    assert (view.roles, view.is_up_to_date) == (CONTROL_PLANE, True), str(view)
    assert story.runs_installed(spare)
    assert story.views()[dead.name].roles == ""
    assert "retired" in why(story, dead)


def check_that_it_stays_out(story: Story, old: LabMachine) -> None:
    """It boots into discovery and waits there; it is given nothing, and installs nothing."""
    on_at = time.time()
    before = story.show(old)
    story.driver.power_on(old)

    def is_in_discovery() -> bool:
        at, phase, _ = story.driver.folder(old).read_phases()[-1]
        seen = story.views()[old.name]
        return phase == "discovery" and at > on_at and seen.state == "discovery"

    story.wait(is_in_discovery, f"{old.name} in discovery")
    waited = time.monotonic() + 4 * REPORT_SECONDS
    story.wait(lambda: time.monotonic() > waited, "time in which it may come back")
    phases = {phase for at, phase, _ in story.driver.folder(old).read_phases() if at > on_at}
    assert phases == {"firmware", "discovery"}, f"{old.name}: {phases}"
    assert story.views()[old.name].roles == ""
    assert story.show(old)["installed_at"] == before["installed_at"]
    of_engine = told_by_the_engine(story, old)
    assert of_engine["PROFILE"] == "discovery", f"{old.name}: {of_engine}"
    assert "retired" in why(story, old)
