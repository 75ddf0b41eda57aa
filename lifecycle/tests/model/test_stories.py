"""Stories that the everyday dice may miss, told on purpose with the model's own eyes."""

import pytest

from lifecycle.services import add_freeze, pause_rollout, start_maintenance
from lifecycle.tests.model.site import Site
from lifecycle.tests.model.watch import Watch

pytestmark = pytest.mark.django_db


def freeze(site, machine):
    add_freeze(reason="no", actor="ada", now=site.now)


def pause(site, machine):
    pause_rollout(rollout=site.rollout(), actor="ada", reason="look", now=site.now)


def maintain(site, machine):
    start_maintenance(machine=machine, actor="ada", reason="fans", now=site.now)


def fail_health(site, machine):
    site.wells = dict.fromkeys(site.wells, False)
    site.check_gates()


def fill(site, machine):
    other = next(one for one in site.workers if site.place(one).state == "waiting")
    assert site.take(other, "default")


@pytest.mark.parametrize("stop", [freeze, pause, maintain, fail_health, fill])
def test_what_comes_between_a_step_and_a_machine_stops_it(stop):
    site = Site(workers=4, racks=2).fork()
    site.add_gate(site.policy())
    site.new_revision()
    site.beat(60)
    site.beat(60)
    (opened,) = [one for one in site.workers if site.place(one).state == "open"]
    watch = Watch(site)
    stop(site, opened)
    watch.look()
    assert not site.begin(opened)


def test_of_five_members_in_policies_of_their_own_one_is_let_go():
    site = Site(plane=5, racks=5).fork()
    for number, machine in enumerate(site.plane):
        site.policy(name=f"p{number}", selector={"machines": [machine.uuid]})
    watch = Watch(site)
    site.new_revision()
    for _ in site.plane:
        site.beat(60)
        watch.look(is_step=True)
        (begun,) = [machine for machine in site.plane if site.begin(machine)]
        watch.granted(begun, site.locks[begun.pk])
        site.beat(60)
        watch.look(is_step=True)
        site.return_updated(begun)
    assert set(site.running.values()) == {2}
