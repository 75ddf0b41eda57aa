"""The operator's pages of lifecycle."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from lifecycle.models import (
    Freeze,
    HealthGate,
    IgnitionReport,
    InstallAttempt,
    InstallLimit,
    InstallOutcome,
    InstallReport,
    InstallWaiter,
    MachineStrategy,
    Replacement,
    RollingPolicy,
    Rollout,
    RolloutMachine,
    Slot,
)
from lifecycle.progress import Said
from lifecycle.services import (
    add_freeze,
    apply_policy,
    ask_to_install,
    record_progress,
    report_install,
    set_limit,
    start_maintenance,
)
from lifecycle.tests.factories import (
    NOON,
    AttemptFactory,
    SlotFactory,
    StrategyFactory,
    desire,
    query_of,
)
from machines.models import Event, Machine
from machines.tests.factories import MachineFactory
from scheduling.services import default_cluster

pytestmark = pytest.mark.django_db
MODELS = sorted(
    (model for model in admin.site._registry if model._meta.app_label == "lifecycle"),
    key=lambda model: model.__name__,
)


EDITED = (MachineStrategy, InstallLimit, Freeze, RollingPolicy, HealthGate)
"""What operators write themselves."""


def page(model, name="changelist", *args):
    return reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_{name}", args=args)


def act(client, model, action, *rows, **data):
    return client.post(
        page(model),
        {"action": action, "_selected_action": [row.pk for row in rows], "index": 0, **data},
        follow=True,
    )


@pytest.fixture
def fleet():
    """One row of everything."""
    holder, waiter = MachineFactory.create_batch(2)
    for machine in (holder, waiter):
        ask_to_install(machine=machine, raw_query=query_of(machine), source=None)
    report_install(machine=waiter, success=True, attempt_id=None, source="10.0.0.1")
    desire(holder, b"{}")
    for machine in (holder, waiter):
        IgnitionReport.objects.create(
            machine=machine, is_up_to_date=machine == holder, reported_at=NOON, created_at=NOON
        )
    StrategyFactory.create(machine=holder)
    SlotFactory.create(machine=holder)
    said = Said("install", "gate", "it waits")
    record_progress(machine=waiter, said=said)
    set_limit(scope="rack", name="", concurrency=5, actor="ada")
    start_maintenance(machine=waiter, actor="ada", reason="a new disk")
    Replacement.objects.create(
        cluster=default_cluster(),
        leaving=holder,
        leaving_mac=holder.boot_mac,
        reason="dead",
        started_by="ada",
        started_at=NOON,
        step_at=NOON,
    )
    apply_policy(document={"name": "workers"}, actor="ada")
    add_freeze(reason="audit", actor="ada")
    config = {"url": "http://127.0.0.1:1/"}
    HealthGate.objects.create(
        policy=RollingPolicy.objects.get(), name="web", kind="http", config=config
    )
    rollout = Rollout.objects.create(
        policy=RollingPolicy.objects.get(),
        policy_name="workers",
        cluster=default_cluster(),
        revision_number=1,
        order="any",
        stages=[{"up_to": 1}],
        created_at=NOON,
        changed_at=NOON,
    )
    RolloutMachine.objects.create(rollout=rollout, machine=holder, position=0)
    return holder, waiter


def test_every_model_of_lifecycle_has_a_page():
    assert {model.__name__ for model in MODELS} == {
        "AgentProgress",
        "Freeze",
        "HealthGate",
        "IgnitionReport",
        "InstallAttempt",
        "InstallGate",
        "InstallLimit",
        "InstallReport",
        "InstallWaiter",
        "LockGroup",
        "MachineStrategy",
        "Maintenance",
        "Replacement",
        "RollingPolicy",
        "Rollout",
        "RolloutMachine",
        "Slot",
    }


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_each_list_and_each_page_renders(admin_client, fleet, model):
    assert admin_client.get(page(model)).status_code == 200
    row = model.objects.first()
    assert admin_client.get(page(model, "change", row.pk)).status_code == 200
    assert admin_client.get(page(model) + "?q=52:54:00").status_code == 200


@pytest.mark.parametrize(
    "model",
    [m for m in MODELS if m not in EDITED],
    ids=lambda model: model.__name__,
)
def test_nobody_adds_or_deletes_by_hand(admin_client, fleet, model):
    assert admin_client.get(page(model, "add")).status_code == 403
    row = model.objects.first()
    assert admin_client.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    ("model", "extra"),
    [(IgnitionReport, 2), (InstallWaiter, 0), (Slot, 0), (MachineStrategy, 0)],
)
def test_a_list_takes_the_same_queries_for_any_number_of_rows(
    admin_client, django_assert_max_num_queries, model, extra
):
    for machine in MachineFactory.create_batch(8):
        ask_to_install(machine=machine, raw_query=query_of(machine), source=None)
        IgnitionReport.objects.create(
            machine=machine, is_up_to_date=False, reported_at=NOON, created_at=NOON
        )
        StrategyFactory.create(machine=machine)
        SlotFactory.create(machine=machine)
    with django_assert_max_num_queries(8 + extra):
        assert admin_client.get(page(model)).status_code == 200


def test_the_page_of_a_machine_shows_its_lifecycle(admin_client, fleet):
    answer = admin_client.get(page(Machine, "change", fleet[0].pk)).content.decode()
    assert "holder-" in answer
    assert "kexec" in answer


class TestVerdictFilter:
    @pytest.mark.parametrize(("verdict", "index"), [("up-to-date", 0), ("outdated", 1)])
    def test_it_shows_one_verdict(self, admin_client, fleet, verdict, index):
        answer = admin_client.get(page(IgnitionReport), {"verdict": verdict})
        shown = list(answer.context["cl"].result_list)
        assert [report.machine for report in shown] == [fleet[index]]


class TestStrategies:
    @pytest.mark.parametrize("strategy", ["kexec", "reboot", "poweroff"])
    def test_machines_are_allowed_by_an_action(self, admin_client, strategy):
        machines = MachineFactory.create_batch(2)
        act(admin_client, Machine, f"strategy_{strategy}", *machines)
        rows = MachineStrategy.objects.values_list("strategy", "is_enabled", "set_by")
        assert list(rows) == [(strategy, True, "admin")] * 2

    def test_rows_are_disabled_by_an_action(self, admin_client):
        row = StrategyFactory.create()
        act(admin_client, MachineStrategy, "strategy_none", row)
        row.refresh_from_db()
        assert (row.is_enabled, row.strategy) == (False, "kexec")
        assert Event.objects.get(kind="strategy").actor == "admin"

    def test_a_machine_is_left_to_its_policy_again(self, admin_client):
        row = StrategyFactory.create(is_enabled=False)
        answer = act(admin_client, Machine, "strategy_policy", row.machine)
        assert "1 strategy is changed." in answer.content.decode()
        assert not MachineStrategy.objects.exists()
        assert Event.objects.get(kind="strategy").message == "Strategy: none of its own any more."
        act(admin_client, Machine, "strategy_policy", row.machine)
        assert Event.objects.filter(kind="strategy").count() == 1

    def test_the_action_needs_the_permission_of_strategies(self, client):
        user = User.objects.create_user("bob", is_staff=True)
        user.user_permissions.add(*Permission.objects.filter(codename__endswith="_machine"))
        client.force_login(user)
        answer = act(client, Machine, "strategy_kexec", MachineFactory.create())
        assert "lifecycle.change_machinestrategy" in answer.content.decode()
        assert not MachineStrategy.objects.exists()

    def test_the_form_goes_through_the_service(self, admin_client):
        machine = MachineFactory.create()
        data = {"machine": machine.pk, "strategy": "reboot", "is_enabled": "on"}
        answer = admin_client.post(page(MachineStrategy, "add"), data)
        assert answer.status_code == 302
        row = MachineStrategy.objects.get()
        assert (row.strategy, row.set_by) == ("reboot", "admin")
        answer = admin_client.post(
            page(MachineStrategy, "change", row.pk), {"strategy": "poweroff"}
        )
        assert answer.status_code == 302
        row.refresh_from_db()
        assert (row.strategy, row.is_enabled) == ("poweroff", False)
        assert Event.objects.filter(kind="strategy").count() == 2


class TestRelease:
    def test_a_slot_is_released_with_a_reason(self, admin_client):
        slot = SlotFactory.create()
        act(admin_client, Slot, "release", slot)
        assert Slot.objects.exists()
        act(admin_client, Slot, "release", slot, reason="burnt")
        assert not Slot.objects.exists()
        assert "burnt" in Event.objects.get(kind="slot_released", actor="admin").message

    def test_a_place_at_the_gate_is_given_on_with_a_reason(self, admin_client):
        attempt, ended = (
            AttemptFactory.create(),
            AttemptFactory.create(outcome=InstallOutcome.FAILED),
        )
        act(admin_client, InstallAttempt, "give_on", attempt, ended)
        assert InstallAttempt.objects.filter(outcome=InstallOutcome.OPEN).exists()
        answer = act(admin_client, InstallAttempt, "give_on", attempt, ended, reason="dead disk")
        attempt.refresh_from_db()
        assert attempt.outcome == InstallOutcome.RELEASED
        assert "ended already" in answer.content.decode()

    def test_reading_is_not_enough_to_release(self, client):
        slot = SlotFactory.create()
        user = User.objects.create_user("bob", is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename="view_slot"))
        client.force_login(user)
        act(client, Slot, "release", slot, reason="because")
        assert Slot.objects.exists()


def test_reports_say_whether_they_counted(admin_client, fleet):
    answer = admin_client.get(page(InstallReport), {"is_confirmed__exact": "0"})
    assert len(answer.context["cl"].result_list) == 1
