"""Updates under a policy on machines that really restart: one that goes well, one that does not.

`make lab-test` runs it, as root. One control plane and two nodes live through all of it, so the
steps are one test.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from lab.bringup import up
from lab.paths import LabPaths
from lab.tests.outside import watched
from lab.tests.story import CONTROL_PLANE, NODE, Story, told
from lab.topology import LabMachine, MachineSpec
from lab.wait import until
from lab.watch import Watch

pytestmark = [pytest.mark.lab, pytest.mark.ignition]

RACKS = {"m1": "1", "m2": "2", "m3": "3"}
REPORT_SECONDS = 3
SOAK_SECONDS = 10
PATIENCE_SECONDS = 60
"""The shortest that a policy may wait for a machine to return."""
NAME = "updates"
POLICY = {
    "name": NAME,
    "strategy": "reboot",
    "max_unavailable": "1",
    "max_domains": 1,
    "canary_count": 1,
    "canary_soak_seconds": SOAK_SECONDS,
    "return_seconds": 1800,
    "settle_seconds": 2,
    "starts": "manual",
    "accepts_downtime": True,
}
FIRST, SECOND = "192.0.2.7 first.lab.test", "192.0.2.8 second.lab.test"


@pytest.fixture
def story(tmp_path, own_topology, capsys):
    """A lab of three that is not made yet, and of which nothing is left behind."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    topology = replace(
        own_topology,
        specs=tuple(MachineSpec(name, memory_mib=768, rack=rack) for name, rack in RACKS.items()),
        control_plane=1,
        values={"lifecycle_update_polling_seconds": REPORT_SECONDS},
        engine={"ENJOLIVER_ROLLOUT_INTERVAL_SECONDS": "2"},
    )
    with told(LabPaths(tmp_path, topology.name), topology, say) as one:
        yield one


def test_a_policy_takes_machines_through_an_update_and_back_from_one_that_fails(story):
    with story.telling("come up"):
        up(story.lab, Watch(story.lab, story.say), story.say)
        story.wait_up_to_date(0)
        roles = [view.roles for view in story.views().values()]
        assert sorted(roles) == [CONTROL_PLANE, NODE, NODE]
    with story.telling("planned and ready: nothing moves"):
        apply_policy(story)
        plan_a_change(story)
        wait_for_a_start(story)
    with story.telling("started: canary, then the rest, one at a time"):
        roll_through(story)
    with story.telling("a machine loses its power in the middle of its update"):
        victim, since = lose_a_machine(story)
    with story.telling("the rollout pauses and says why"):
        check_the_pause(story, victim)
    with story.telling("rolled back with one command"):
        roll_back(story, victim, since)


# Asking


def apply_policy(story: Story, **changes: object) -> None:
    """The policy, with changes, out of a file."""
    file = story.lab.paths.root / "policy.yaml"
    file.write_text(json.dumps(POLICY | changes))
    story.engine.manage("policy", "apply", str(file))


def rollout_of(story: Story) -> dict[str, Any]:
    """The policy's active rollout, else its newest one; nothing before the first."""
    answer = story.ask(f"/api/v1/rollouts/{NAME}")
    found = answer.json() if answer.status == 200 else {}
    assert isinstance(found, dict)
    return found


def machines_of(story: Story) -> list[LabMachine]:
    """The rollout's machines, in its order."""
    places = story.ask(f"/api/v1/rollouts/{NAME}/machines").json()["items"]
    known = {machine.fqdn: machine for machine in story.machines}
    return [known[place["fqdn"]] for place in places]


def why(story: Story, *words: str) -> str:
    """Why nothing happens, of a machine or of the only active rollout: a sentence, and details."""
    (answer,) = story.manage_json("why", *words)
    story.say(f"why {' '.join(words)}: {answer['answer']}")
    return "\n".join([answer["answer"], *answer["details"]])


def wait_for_state(story: Story, state: str, revision_after: int) -> dict[str, Any]:
    """The rollout of a newer revision, once it is in this state."""

    def ask_for_it() -> dict[str, Any]:
        found = rollout_of(story)
        is_it = found and found["revision"] > revision_after and found["state"] == state
        return found if is_it else {}

    found = until(
        ask_for_it,
        seconds=3600,
        what=f"a rollout of a revision after {revision_after} that is {state}",
        every=0.5,
        last=lambda: f"{rollout_of(story)}; {story.where()}",
    )
    assert isinstance(found, dict)
    return found


def check_that_nothing_moves(story: Story, since: float) -> None:
    """Nobody left its system for as long as it takes to hear of leave, and to go."""
    waited = time.monotonic() + 4 * REPORT_SECONDS
    story.wait(lambda: time.monotonic() > waited, "time in which nobody moves")
    assert story.times_away(since) == []


# The steps


def plan_a_change(story: Story) -> None:
    """All three would restart under the policy; for the plan nobody does."""
    asked_at = time.time()
    plan = story.manage_json("plan", "--set", f"etc_hosts={FIRST}")
    assert plan["counts"]["changed"] == len(RACKS), str(plan["counts"])
    for machine in plan["machines"]:
        assert machine["action"] == f"reboot under policy {NAME}", str(machine)
        assert machine["blocked"] == "", str(machine)
    assert "first.lab.test" in json.dumps(plan["groups"])
    assert rollout_of(story) == {}
    assert story.times_away(asked_at) == []


def wait_for_a_start(story: Story) -> None:
    changed_at = time.time()
    story.engine.manage("values", "set", f"etc_hosts={FIRST}")
    wait_for_state(story, "ready", 0)
    (shown,) = story.manage_json("rollout", "status")
    assert (shown["state"], shown["machines"]["waiting"]) == ("ready", len(RACKS)), str(shown)
    assert shown["why"]["answer"] == "It waits for an operator to start it."
    answer = why(story, story.machines[0].fqdn)
    assert f"rollout {shown['id']} waits for an operator to start it." in answer, answer
    check_that_nothing_moves(story, changed_at)
    # It does not even tell them yet: what each of them runs is what it should run.
    assert all(view.is_up_to_date for view in story.views().values())


def roll_through(story: Story) -> None:
    ready, started_at = rollout_of(story), time.time()
    most_held = 0

    def is_done() -> bool:
        nonlocal most_held
        most_held = max(most_held, story.slots_held())
        found = rollout_of(story)
        assert found["state"] in ("running", "completed"), f"{found['state']}: {found['reason']}"
        return bool(found["state"] == "completed")

    with watched(story.machines) as outside:
        story.engine.manage("rollout", "start", NAME)
        story.wait(is_done, "the rollout's end", 3600)
    assert rollout_of(story)["id"] == ready["id"]
    away = story.one_by_one(started_at)
    order = machines_of(story)
    assert [story.views()[one.name].roles for one in order] == [NODE, NODE, CONTROL_PLANE]
    assert [name for _, _, name in away] == [one.name for one in order], str(away)
    (_, canary_back, _), (second_left, _, _) = away[:2]
    assert second_left - canary_back >= SOAK_SECONDS, str(away)
    assert (most_held, outside.most) == (1, 1), str(outside.seen)
    assert outside.ever_down == set(RACKS)
    for machine in story.machines:
        assert story.asked_firmware(machine), f"{machine.name} did not restart by its firmware"
        assert "first.lab.test" in story.hosts(machine)
    assert "Nothing is to do" in why(story, order[0].fqdn)


def lose_a_machine(story: Story) -> tuple[LabMachine, float]:
    """The canary gets through; the one after it is switched off while it restarts: which, and a
    time shortly before."""
    before = rollout_of(story)["revision"]
    apply_policy(
        story,
        strategy="kexec",
        starts="auto",
        stages=[{"up_to": "100%", "needs_confirmation": True}],
    )
    story.engine.manage("values", "set", f"etc_hosts={SECOND}")
    running = wait_for_state(story, "running", before)
    story.wait(lambda: "confirmation" in rollout_of(story)["hold"], "a canary that is well", 3600)
    canary, victim, last = machines_of(story)
    assert "second.lab.test" in story.hosts(canary)
    assert not story.asked_firmware(canary)
    assert "confirmation" in why(story)
    apply_policy(story, strategy="kexec", starts="auto", return_seconds=PATIENCE_SECONDS)
    confirmed_at = time.time()
    story.engine.manage("rollout", "resume", str(running["id"]))
    until(
        lambda: not story.runs_installed(victim),
        seconds=1800,
        what=f"the restart of {victim.name}",
        every=0.02,
        last=story.where,
    )
    story.driver.power_off(victim, is_hard=True)
    assert story.driver.state(victim).power == "off"
    assert story.runs_installed(last)
    return victim, confirmed_at


def check_the_pause(story: Story, victim: LabMachine) -> None:
    lost_at = time.time()
    wait_for_state(story, "paused", rollout_of(story)["from_revision"])
    (shown,) = story.manage_json("rollout", "status")
    story.say("\n".join([shown["reason"], shown["details"]]))
    assert shown["reason"].startswith(f"{victim.fqdn}: it did not come back in time"), str(shown)
    assert victim.fqdn in shown["details"]
    assert "agent, " in shown["details"], "its agent's last words are missing"
    counts = {state: number for state, number in shown["machines"].items() if number}
    assert counts == {"done": 1, "failed": 1, "waiting": 1}
    assert why(story).startswith(f"It is paused: {victim.fqdn}: it did not come back in time")
    assert "did not come back" in why(story, victim.fqdn)
    _, _, last = machines_of(story)
    assert "is paused" in why(story, last.fqdn)
    assert story.slots_held() == 1, "the slot of a machine that is lost stays counted"
    others = {machine.name for machine in story.machines} - {victim.name}
    story.wait_up_to_date(lost_at, names=others)
    assert all(story.is_back(one, 0) for one in story.machines if one.name in others)


def roll_back(story: Story, victim: LabMachine, since: float) -> None:
    """Nobody goes while the lost one is away; it returns, and those that changed go back."""
    failed = rollout_of(story)
    canary, _, last = machines_of(story)
    apply_policy(story, strategy="kexec", starts="auto")
    words = ("rollback", str(failed["id"]), "--reason", "a machine did not come back")
    made = story.manage_json("rollout", *words)
    running = wait_for_state(story, "running", failed["revision"])
    assert running["revision"] == made["revision"]
    assert [one.name for one in machines_of(story)] == [canary.name, victim.name]
    answer = why(story)
    assert answer.startswith(f"The next machine, {canary.fqdn}, waits: 1 of 3 machines"), answer
    assert f"Unavailable: {victim.fqdn}: it holds a slot of group {NAME}" in answer
    still_off = time.monotonic() + 4 * REPORT_SECONDS
    story.wait(lambda: time.monotonic() > still_off, "time in which nobody may move")
    assert story.runs_installed(canary)
    assert story.runs_installed(last)
    story.driver.power_on(victim)
    with watched(story.machines) as outside:
        wait_for_state(story, "completed", failed["revision"])
        story.wait(lambda: story.slots_held() == 0, "the last slot given back")
        story.wait_up_to_date(time.time())
    away = story.one_by_one(since)
    names = [name for _, _, name in away]
    assert names == [victim.name, canary.name, victim.name], str(away)
    assert outside.most <= 1, str(outside.seen)
    assert last.name not in outside.ever_down
    for machine in story.machines:
        assert "first.lab.test" in story.hosts(machine)
    assert story.manage_json("rollout", "status") == []
