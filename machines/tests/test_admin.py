"""The operator's pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse

from machines.discovery import parse_report
from machines.models import BootJournal, Event, ImportedLocation, Machine
from machines.services import import_locations, record_discovery
from machines.tests.factories import (
    EventFactory,
    MachineConflictFactory,
    MachineFactory,
    StateChangeFactory,
    UnknownBootFactory,
    document,
    mac_of,
)
from machines.topology import Location

pytestmark = pytest.mark.django_db
MODELS = sorted(
    (model for model in admin.site._registry if model._meta.app_label == "machines"),
    key=lambda model: model.__name__,
)


def page(model, name="changelist", *args) -> str:
    return reverse(f"admin:machines_{model._meta.model_name}_{name}", args=args)


@pytest.fixture
def fleet():
    """One row of everything."""
    for number in (1, 2):
        record_discovery(report=parse_report(document(number)))
    machine = Machine.objects.first()
    MachineConflictFactory.create(machine=machine)
    EventFactory.create(machine=machine, message="<script>alert(1)</script>", level="error")
    StateChangeFactory.create(machine=machine)
    UnknownBootFactory.create()
    import_locations(places={mac_of(1): Location(rack="7")}, actor="ada")
    return machine


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_each_list_and_each_page_renders(admin_client, fleet, model):
    assert admin_client.get(page(model)).status_code == 200
    row = model.objects.first()
    answer = admin_client.get(page(model, "change", row.pk))
    assert answer.status_code == 200
    assert b"<script>alert(1)</script>" not in answer.content


@pytest.mark.parametrize(
    "model",
    [model for model in MODELS if model is not ImportedLocation],
    ids=lambda model: model.__name__,
)
def test_nobody_adds_or_deletes_what_is_reported(admin_client, fleet, model):
    assert admin_client.get(page(model, "add")).status_code == 403
    row = model.objects.first()
    assert admin_client.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403


def test_the_list_costs_the_same_for_any_fleet(admin_client, django_assert_max_num_queries):
    MachineFactory.create_batch(3)
    admin_client.get(page(Machine))
    MachineFactory.create_batch(30)
    with django_assert_max_num_queries(8):
        assert admin_client.get(page(Machine)).status_code == 200


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("in_conflict=yes", 1),
        ("in_conflict=no", 1),
        ("installed=yes", 0),
        ("installed=no", 2),
        ("installed=asked", 0),
        ("state__exact=discovery", 2),
        (f"q={mac_of(1).upper().replace(':', '-')}", 1),
        ("q=10.64.0.2", 1),
        ("q=r1-srv1", 1),
    ],
)
def test_questions_an_operator_asks(admin_client, fleet, query, number):
    answer = admin_client.get(f"{page(Machine)}?{query}")
    assert len(answer.context["cl"].result_list) == number


def test_labels_are_edited_and_facts_are_not(admin_client, fleet):
    path = page(Machine, "change", fleet.pk)
    inlines = admin_client.get(path).context["inline_admin_formsets"]
    form: dict[str, Any] = {"labels": '{"rack": "7"}', "state": "running", "uuid": "x"}
    for inline in inlines:
        prefix = inline.formset.prefix
        total = inline.formset.total_form_count() if not inline.formset.initial_forms else 0
        form |= {f"{prefix}-TOTAL_FORMS": total, f"{prefix}-INITIAL_FORMS": 0}
    assert admin_client.post(path, form).status_code == 302
    after = Machine.objects.get(pk=fleet.pk)
    assert after.labels == {"rack": "7"}
    assert (after.uuid, after.state) == (fleet.uuid, fleet.state)
    assert Event.objects.filter(kind="labels", actor="admin").count() == 1


@pytest.mark.parametrize("labels", ['{"a": 1}', "[]", '"x"', "{", '{"a": "\\u0000"}'])
def test_labels_that_cannot_be_taken_are_told_in_the_form(admin_client, fleet, labels):
    answer = admin_client.post(page(Machine, "change", fleet.pk), {"labels": labels})
    assert answer.status_code == 200
    assert "labels" in answer.context["errors"].as_data() or answer.context["errors"]
    assert Machine.objects.get(pk=fleet.pk).labels == {}


def run(client, action, *machines):
    form = {"action": action, "_selected_action": [machine.pk for machine in machines]}
    return client.post(page(Machine), form, follow=True)


def test_a_reinstall_is_requested_for_each_selected_machine(admin_client):
    machines = MachineFactory.create_batch(2, running=True)
    assert run(admin_client, "reinstall", *machines).status_code == 200
    assert Machine.objects.filter(reinstall_requested_at__isnull=False).count() == 2
    assert set(Event.objects.values_list("actor", flat=True)) == {"admin"}


def test_a_machine_that_is_gone_is_forgotten(admin_client):
    gone, stays = MachineFactory.create_batch(2)
    run(admin_client, "forget", gone)
    assert list(Machine.objects.all()) == [stays]


def test_a_reader_sees_no_actions(client, django_user_model):
    from django.contrib.auth.models import Permission

    reader = django_user_model.objects.create_user("reader", password="x", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_machine"))
    client.force_login(reader)
    machine = MachineFactory.create(running=True)
    assert client.get(page(Machine)).status_code == 200
    run(client, "reinstall", machine)
    run(client, "forget", machine)
    assert Machine.objects.get().installed_at is not None


def test_a_journal_is_shown_as_text(admin_client, fleet):
    answer = admin_client.get(page(BootJournal, "change", BootJournal.objects.all()[0].pk))
    assert "files: op(1): [finished]" in answer.content.decode()


def test_the_report_is_shown_as_sent(admin_client, fleet):
    answer = admin_client.get(page(Machine, "change", fleet.pk))
    shown = answer.content.decode().replace("&quot;", '"')
    assert json.dumps(fleet.boot_mac) in shown
