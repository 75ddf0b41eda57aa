"""The invariants, checked after each step of the model."""

from collections import Counter

from lifecycle.services import policy_of
from lifecycle.tests.model.exchange import check_replacements
from lifecycle.tests.model.picture import ACTIVE, PLANE, Picture, amount
from lifecycle.why import why_machine, why_rollout

ENDED = {"completed", "aborted", "superseded"}
OVER = {"done", "skipped"}
BY_THEMSELVES = ("it is not installed yet", "its strategy is none")


class Watch:
    """Looks at the site again and again; what it saw last is compared with what it sees."""

    def __init__(self, site):
        self.site = site
        self.turn = 0
        self.seen = self.picture()
        self.followed = self.seen.profiles

    def picture(self):
        return Picture(self.site.cluster, self.site.now)

    def look(self, *, is_step=False, asks_why=False):
        """Everything that must hold whatever happened; after a step of one worker alone
        (`is_step`) also what such a step must have looked at. To ask why costs as much as half of
        the rest, so it is asked once for each rule."""
        before, now = self.seen, self.picture()
        self.seen = now
        if now.members_at != before.members_at and now.profiles == before.profiles:
            self.followed = now.profiles
        self.check_rollouts(before, now)
        self.check_slots(now)
        self.check_desired(before, now)
        if self.site.free:
            check_replacements(before, now, is_step=is_step)
        if is_step:
            self.check_opened(before, now)
            self.check_done(before, now)
            self.check_paused(before, now)
            self.check_members(now)
        self.turn += 1
        self.check_leaves(now)
        if asks_why:
            self.check_why(now)

    # --- one active rollout, no way back from an end --------------------------------------------

    def check_rollouts(self, before, now):
        active = [one for one in now.rollouts.values() if one.state in ACTIVE]
        busy = Counter(one.policy_id for one in active if one.policy_id)
        assert not busy or max(busy.values()) == 1, f"two active rollouts: {active}"
        for pk, old in before.rollouts.items():
            state = now.rollouts[pk].state
            assert old.state not in ENDED or state == old.state, f"{old} was over, and is {state}"
        old_states = {place.pk: place.state for place in before.places}
        for place in now.places:
            old = old_states.get(place.pk)
            assert old not in OVER or place.state == old, f"{place} was {old}"

    # --- slots ----------------------------------------------------------------------------------

    def check_slots(self, now):
        """No slot is lost, none is doubled, no control plane holds two by leave."""
        held = Counter((slot.group.name, slot.holder) for slot in now.slots)
        assert held == Counter(dict.fromkeys(self.site.slots, 1)), (
            "slots came or went by themselves"
        )
        for slot in now.slots:
            assert slot.machine_id == self.site.slots[slot.group.name, slot.holder]
        by_leave = Counter(slot.machine_id for slot in now.slots if slot.deadline_at)
        assert not by_leave or max(by_leave.values()) == 1, "two slots by leave for one machine"
        plane = [pk for pk in by_leave if pk in now.plane()]
        assert len(plane) <= 1, f"{plane} of the control plane are away by leave"

    def granted(self, machine, group):
        """A machine was given a slot just now."""
        now = self.picture()
        mine = [slot for slot in now.slots if slot.group.name == group]
        assert len(mine) <= mine[0].group.slots, f"{group}: {len(mine)} slots"
        if mine[0].group.policy_id:
            self.may_go(now, machine.pk, f"slot of {group}")

    # --- leave ----------------------------------------------------------------------------------

    def check_leaves(self, now):
        """Of those that are let go, and of one more machine each time."""
        members = self.site.members
        other = members[self.turn % len(members)].pk
        for machine in members:
            if machine.pk in now.by_machine or machine.pk == other:
                leave = self.site.leave(machine)
                if leave is not None and leave.strategy is not None:
                    self.may_go(now, machine.pk, f"leave by {leave.strategy}")

    def may_go(self, now, machine_id, what):
        """Everything that must be true of a machine that may go away now."""
        name, policy = self.site.names[machine_id], now.chosen(machine_id)
        if policy is None:
            everywhere = [one for one in now.freezes if not one.policy_id]
            over = [one for one in everywhere if one.ends_at and one.ends_at <= now.now]
            assert len(over) == len(everywhere), f"{name}: {what} in a freeze"
            replaced = now.replaced() if machine_id in now.plane() else set()
            assert not replaced or machine_id in replaced, f"{name}: {what} beside a replacement"
            return
        place = now.by_machine.get(machine_id)
        assert place is not None, f"{name}: {what}, but nobody let it go"
        assert place.state in ("open", "updating"), f"{name}: {what}, but it is {place.state}"
        rollout = now.rollouts[place.rollout_id]
        assert rollout.state == "running", f"{name}: {what}, but its rollout is {rollout.state}"
        assert rollout.policy_id == policy.pk, f"{name}: {what} by another policy's rollout"
        assert not (why := now.hold(policy)), f"{name}: {what}, but {why}"
        assert not (why := now.broken_limit(policy)), f"{name}: {what} under {policy}, but {why}"
        assert machine_id not in now.cared_for, f"{name}: {what} in maintenance"
        assert machine_id not in now.blocked, f"{name}: {what}, but it is blocked"
        if now.profiles[machine_id] == PLANE:
            why = now.broken_plane(policy, machine_id)
            assert not why, f"{name}: {what}, but {why}"

    # --- what one step did ----------------------------------------------------------------------

    def changed(self, before, now, *states):
        """(former state, place) of places that came to one of `states`."""
        old = {place.pk: place.state for place in before.places}
        for place in now.places:
            if place.state in states and old.get(place.pk, "waiting") != place.state:
                yield old.get(place.pk, "waiting"), place

    def check_opened(self, before, now):
        """Machines are opened in their turn only, and while all is well."""
        for _, place in self.changed(before, now, "open"):
            rollout = now.rollouts[place.rollout_id]
            policy = now.policies[rollout.policy_id]
            assert rollout.state == "running", f"opened while {rollout.state}"
            assert not (why := now.hold(policy)), f"opened, but {why}"
            assert not (why := now.broken_limit(policy)), f"opened under {policy}, but {why}"
            assert place.machine_id not in now.cared_for, "opened in maintenance"
            assert now.members[place.machine_id].policy_id == policy.pk, "opened a stranger"
            if now.profiles.get(place.machine_id) == PLANE:
                assert not (why := now.broken_plane(policy, place.machine_id)), f"opened, {why}"
            self.check_turn(now, rollout, place)

    def check_turn(self, now, rollout, place):
        """A canary is over and has soaked; the control plane is done where it goes first."""
        mine = [one for one in now.places if one.rollout_id == rollout.pk]
        for number, stage in enumerate(rollout.stages[: place.stage]):
            canary = [one for one in mine if one.stage == number and stage["is_canary"]]
            assert all(one.state in OVER for one in canary), "opened before the canary is done"
            ends = [one.finished_at for one in canary if one.finished_at]
            waited = (now.now - max(ends)).total_seconds() if ends else stage["soak_seconds"]
            assert waited >= stage["soak_seconds"], "opened while the canary soaks"
        if rollout.order == "control-plane-first" and place.wave:
            ahead = [one for one in mine if one.wave == 0 and one.state not in OVER]
            assert not ahead, f"opened before the control plane: {ahead}"

    def check_done(self, before, now):
        """Nobody is done without health: its config runs, its slot is free, it settled."""
        for _, place in self.changed(before, now, "done"):
            if place.reason.startswith(BY_THEMSELVES):
                continue
            report, desired = now.reports[place.machine_id], now.desired[place.machine_id]
            assert desired.sha512 in (report.sha512, report.canonical_sha512), "done, but outdated"
            assert place.machine_id not in now.holders, "done with a slot"
            policy = now.policies[now.rollouts[place.rollout_id].policy_id]
            waited = (place.finished_at - place.ready_at).total_seconds()
            assert waited >= policy.settle_seconds, "done before it settled"

    def check_paused(self, before, now):
        """A grave failure, or as many as the policy bears, pauses a running rollout at once."""
        lost = {slot.machine_id for slot in now.slots if slot.lost_at}
        for _, place in self.changed(before, now, "failed"):
            rollout = now.rollouts[place.rollout_id]
            policy = now.policies[rollout.policy_id]
            mine = [one for one in now.places if one.rollout_id == rollout.pk]
            failed = sum(one.state == "failed" for one in mine)
            is_grave = (
                place.machine_id in lost
                or now.profiles.get(place.machine_id) == PLANE
                or rollout.stages[place.stage]["is_canary"]
                or failed >= amount(policy.failure_threshold, len(mine))
            )
            assert not is_grave or rollout.state == "paused", f"{rollout} goes on with {place}"
            assert rollout.state != "paused" or rollout.reason, "paused without a reason"

    def check_members(self, now):
        """Who belongs to which policy is what the selectors say; and there is one answer.

        What is stored follows changed roles within half a minute; a leave asks the selectors.
        """
        for machine in self.site.members if now.profiles == self.followed else ():
            chosen, stored = now.chosen(machine.pk), now.members.get(machine.pk)
            assert (stored.policy_id if stored else None) == (chosen.pk if chosen else None)
        machine = self.site.members[self.turn % len(self.site.members)]
        assert policy_of(machine) == now.chosen(machine.pk)

    # --- configs --------------------------------------------------------------------------------

    def check_desired(self, before, now):
        """A machine under a policy gets a newer config only when its rollout lets it go."""
        for pk, held in now.desired.items():
            old = before.desired.get(pk)
            if old is None:
                continue
            if held.config.revision.number <= old.config.revision.number:
                continue
            if pk not in now.members or pk not in before.members or pk not in before.reports:
                continue
            if self.site.content(held.config.revision.number) == self.site.running[pk]:
                continue  # the same document under another number
            mine = [one for one in now.places if one.machine_id == pk and one.opened_at]
            assert mine, f"{self.site.names[pk]} got a newer config, and nobody let it go"

    # --- why ------------------------------------------------------------------------------------

    def check_why(self, now):
        """There is always an answer: for a machine or a rollout, another one each time."""
        machines, rollouts = self.site.machines, self.site.rollouts(*ACTIVE)
        if self.turn % 2 and rollouts:
            answer = why_rollout(rollouts[self.turn // 2 % len(rollouts)], now=now.now)
        else:
            answer = why_machine(machines[self.turn // 2 % len(machines)], now=now.now)
        assert answer.sentence.strip(), "no answer to why"
