"""The first page says what goes on and what waits for somebody, with a link to where it is done."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from enjoliver.engine.attention import notices
from lifecycle.models import IgnitionReport, Maintenance, Rollout, SlotPhase, StrategyName
from lifecycle.services import add_freeze, pause_rollout, set_strategy
from lifecycle.tests.factories import SlotFactory
from lifecycle.tests.rollouts.world import World
from machines.tests.factories import MachineFactory
from matchbox_sync.models import ChangeState, PendingChange
from scheduling.models import Cluster

pytestmark = pytest.mark.django_db


def make_change(number, state=ChangeState.WAITING, closed_at=None):
    return PendingChange.objects.create(
        cluster=Cluster.objects.get(name="default"),
        fingerprint=str(number),
        state=state,
        summary="values ntp",
        why="policy workers asks for approval",
        created_at=timezone.now(),
        closed_at=closed_at,
    )


@pytest.fixture
def world():
    """Now, for pages look at the clock themselves."""
    made = World(workers=3, plane=1)
    made.now = timezone.now()
    made.report_all()
    set_strategy(machine=made.plane[0], strategy=StrategyName.KEXEC, actor="ada")
    return made


@pytest.fixture
def rolling(world):
    world.policy()
    world.new_revision()
    world.advance()
    return world


def sentences():
    return [notice.sentence for notice in notices()]


def page(client):
    return client.get("/admin/").content.decode()


def test_nothing_goes_on(admin_client):
    assert notices() == []
    assert "No rollout is active, and nothing waits for a decision." in page(admin_client)


def test_one_change_that_waits_leads_to_its_page(admin_client):
    change = make_change(1)
    make_change(2, ChangeState.SUPERSEDED, closed_at=timezone.now())
    assert sentences() == ["1 change waits for approval: nothing of it is published."]
    address = reverse("admin:matchbox_sync_pendingchange_change", args=[change.pk])
    assert f'href="{address}"' in page(admin_client)


def test_several_lead_to_the_list_of_those_that_wait(admin_client):
    waiting = {make_change(1).pk, make_change(2).pk}
    make_change(3, ChangeState.REJECTED)
    first, second = notices()
    assert first.sentence.startswith("2 changes wait for approval")
    assert second.sentence.startswith("1 rejected change is still in templates or values")
    listed = admin_client.get(first.href).context["cl"].result_list
    assert {change.pk for change in listed} == waiting


def test_a_rollout_says_how_far_it_is_and_a_paused_one_why(rolling):
    rollout = rolling.rollout()
    assert sentences() == [f"{rollout}: 0 of 3 machines done."]
    pause_rollout(rollout=rollout, actor="ada", reason="the fans are loud")
    (notice,) = notices()
    assert (notice.word, notice.variant) == ("paused", "danger")
    assert "the fans are loud" in notice.sentence


def test_outdated_machines_that_nothing_lets_change_are_named(world, admin_client):
    IgnitionReport.objects.update(is_up_to_date=False)
    (notice,) = notices()
    assert notice.sentence.startswith("3 outdated machines have neither a rolling policy nor")
    assert admin_client.get(notice.href).context["cl"].result_count == 4
    for worker in world.workers[:2]:
        set_strategy(machine=worker, strategy=StrategyName.KEXEC, actor="ada")
    assert sentences()[0].startswith("1 outdated machine has neither")
    world.policy()
    assert sentences() == []


def test_one_that_is_ready_says_who_begins(world):
    world.policy(starts="manual")
    world.new_revision()
    world.advance()
    assert "0 of 3 machines done; it waits for an operator to start it." in sentences()[0]


def test_one_whose_next_stage_asks_says_so(world):
    world.policy(canary_count=1, stages=[{"up_to": "100%", "needs_confirmation": True}])
    world.new_revision()
    world.advance()
    rollout = world.rollout()
    assert "confirmation" not in sentences()[0]
    rollout.machines.filter(position=0).update(state="done")
    assert sentences()[0].endswith("stage 2 waits for an operator's confirmation.")
    Rollout.objects.update(confirmed_stage=1)
    assert "confirmation" not in sentences()[0]


def test_freezes_maintenance_and_lost_slots_are_there(admin_client):
    add_freeze(reason="audit", actor="ada", ends_at=timezone.now() + timedelta(hours=1))
    slot = SlotFactory.create(phase=SlotPhase.LOST, lost_at=timezone.now())
    Maintenance.objects.create(
        machine=MachineFactory.create(), reason="disk", started_at=timezone.now()
    )
    lost, freeze, maintenance = notices()
    assert lost.sentence.startswith("1 holder of an update slot did not come back")
    assert list(admin_client.get(lost.href).context["cl"].result_list) == [slot]
    assert freeze.sentence.startswith("A freeze of everything by ada until ")
    assert maintenance.sentence == "1 machine is in maintenance."
    for notice in (lost, freeze, maintenance):
        assert admin_client.get(notice.href).status_code == 200


def test_it_costs_the_same_for_any_number(django_assert_num_queries, rolling):
    for number in range(20):
        make_change(number)
        add_freeze(reason="audit", actor="ada")
    with django_assert_num_queries(7):
        assert len(notices()) == 7
