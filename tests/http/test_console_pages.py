"""Every page of the console opens, for whatever is registered, with rows and without."""

from datetime import UTC, datetime

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse

from machines.models import UnknownBoot

pytestmark = pytest.mark.django_db
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
OURS = ("common", "machines", "scheduling", "matchbox_sync", "lifecycle")

INSIDE_OTHERS = {"machines.ChassisPort", "matchbox_sync.Document", "lifecycle.ChangeClock"}
"""Columns of an interface, the text behind a machine's config, and a counter for nobody's eyes."""


def page(model, name, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_its_list_opens_and_can_be_searched(fleet, admin_client, model):
    assert admin_client.get(page(model, "changelist")).status_code == 200
    searched = admin_client.get(page(model, "changelist"), {"q": "52:54:00:00:00:01"})
    assert searched.status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_its_rows_open_and_can_be_added_or_not(fleet, admin_client, model):
    assert admin_client.get(page(model, "add")).status_code in (200, 403)
    for row in model._default_manager.all()[:2]:
        assert admin_client.get(page(model, "change", row.pk)).status_code == 200, row
        assert admin_client.get(page(model, "history", row.pk)).status_code == 200, row


def test_facts_and_derived_rows_cannot_be_added_by_hand(admin_client):
    for model in MODELS:
        is_operators_own = model._meta.label == "machines.ImportedLocation"
        if model._meta.app_label in ("machines", "matchbox_sync") and not is_operators_own:
            assert admin_client.get(page(model, "add")).status_code == 403, model


def test_every_table_of_ours_has_a_page_or_is_part_of_one():
    inlines = {inline.model for site in admin.site._registry.values() for inline in site.inlines}
    shown = {model._meta.label for model in {*MODELS, *inlines}} | INSIDE_OTHERS
    ours = [model._meta.label for model in apps.get_models() if model._meta.app_label in OURS]
    assert [label for label in ours if label not in shown] == []


def test_an_empty_list_says_what_that_means_and_a_search_that_nothing_matches(admin_client):
    slots = "/admin/lifecycle/slot/"
    assert "No slot is held: nobody is away for an update." in shown(admin_client, slots)
    assert "Nothing matches the search" in shown(admin_client, slots + "?q=nobody")
    assert "There is nothing here yet." in shown(admin_client, "/admin/machines/chassis/")


def test_times_are_said_to_the_second_and_with_their_zone(admin_client):
    at = datetime(2026, 11, 23, 3, 4, 5, tzinfo=UTC)
    UnknownBoot.objects.create(mac="52:54:00:00:00:99", first_at=at, last_at=at)
    assert "2026-11-23 03:04:05 UTC" in shown(admin_client, "/admin/machines/unknownboot/")


def shown(client, path):
    """The text of a page."""
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()
