"""The end of a story: faults are mended, and then everything must come to its end by itself."""

from lifecycle.models import Freeze, StrategyName
from lifecycle.services import (
    apply_policy,
    confirm_stage,
    end_maintenance,
    lift_freeze,
    maintenance_machine_ids,
    resume_rollout,
    set_strategy,
    start_rollout,
)
from lifecycle.tests.model.spares import answered
from lifecycle.why import why_machine, why_rollout
from machines.models import Machine

ROUNDS = 80


def mend(site):
    """Everything that could be in the way is taken out of it, by operators and machines."""
    for freeze in Freeze.objects.filter(lifted_at=None):
        lift_freeze(freeze=freeze, actor="ada", now=site.now)
    for policy in site.policies():
        # What was in order once may not be so for the machines that it selects now.
        always = {"max_unavailable": "1", "accepts_downtime": True}
        document = {"name": policy.name, "windows": [], "strategy": "kexec", **always}
        apply_policy(document=document, actor="ada", partial=True, now=site.now)
    site.wells = dict.fromkeys(site.wells, True)
    for machine in site.members:
        if machine.pk in maintenance_machine_ids([machine.pk], site.now):
            end_maintenance(machine=machine, actor="ada")
        set_strategy(machine=machine, strategy=StrategyName.KEXEC, actor="ada")
        machine.refresh_from_db()
        if machine.reinstall_requested_at or machine.state == "installation_failed":
            assert site.install(machine)
        if machine.pk in site.down:
            site.return_updated(machine)
        site.give_back_remembered(machine)
    for machine in site.newcomers:
        site.install_new(machine)
    for slot in site.held():
        site.release(slot)


def finish(site, watch):
    """Beats until no rollout is active; what an operator is asked for, he does."""
    for _ in range(ROUNDS):
        site.beat(60)
        watch.look()
        rollouts = site.rollouts("ready", "running", "paused")
        if not rollouts and not site.is_replacing():
            return
        site.go_on_replacing()
        for rollout in rollouts:
            answered(
                resume_rollout if rollout.state != "running" else confirm_stage,
                rollout=rollout,
                actor="ada",
                now=site.now,
            )
        for machine in site.members:
            if site.begin(machine):
                watch.granted(machine, site.locks[machine.pk])
                site.return_updated(machine)
    raise AssertionError(f"it does not come to an end: {why_not(site)}")


def why_not(site):
    """What stands where, for whoever reads the failure."""
    rollouts = site.rollouts("ready", "running", "paused")
    told = [
        (str(one), one.state, site.states(one), why_rollout(one, now=site.now)) for one in rollouts
    ]
    return told, [why_machine(one, now=site.now).sentence for one in site.members]


def bring_up_to_date(site, watch):
    """Mended, each policy's machines reach the newest revision, also those left out before."""
    mend(site)
    finish(site, watch)
    for policy in site.policies():
        if policy.is_enabled:
            answered(start_rollout, policy=policy, actor="ada", now=site.now)
    finish(site, watch)
    assert not [slot for slot in site.held() if slot.deadline_at]
    now = watch.picture()
    for machine in Machine.objects.filter(pk__in=now.members):
        if machine.pk in now.reports and now.policies[now.members[machine.pk].policy_id].is_enabled:
            newest = now.desired[machine.pk].newest.revision.number
            assert site.running[machine.pk] == site.content(newest), f"{machine} was forgotten"
