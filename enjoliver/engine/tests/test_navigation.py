"""The console's menu: everything is in it once, and only what one may see."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from enjoliver.engine import navigation
from enjoliver.engine.navigation import _GROUPS

pytestmark = pytest.mark.django_db


def menu_of(client, rf):
    request = rf.get("/admin/")
    request.user = User.objects.get(pk=client.session["_auth_user_id"])
    return navigation.navigation(request)


def links(menu):
    return [item["link"] for group in menu for item in group["items"]]


def test_every_page_of_the_console_stands_in_it_once(admin_client, rf):
    pages = [reverse("admin:index"), reverse("admin:matchbox_sync_assets")]
    pages += [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in admin.site._registry
    ]
    found = links(menu_of(admin_client, rf))
    assert sorted(found) == sorted(pages)


def test_the_groups_name_pages_that_there_are():
    known = {model._meta.label for model in admin.site._registry}
    named = [label for _, labels in _GROUPS for label in labels]
    assert set(named) <= known
    assert len(named) == len(set(named))


def test_what_one_may_not_see_is_not_in_it(client, rf):
    user = User.objects.create_user("reader", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_rollout"))
    client.force_login(user)
    assert links(menu_of(client, rf)) == ["/admin/", "/admin/lifecycle/rollout/"]


def test_the_page_shows_its_groups_and_marks_where_one_is(admin_client):
    body = admin_client.get("/admin/lifecycle/rollout/").content.decode()
    for title in ("Fleet", "Changes", "Rules", "Cluster", "Installs"):
        assert title in body
    marked = [line for line in body.splitlines() if "active" in line and "<a href=" in line]
    assert [line for line in marked if 'href="/admin/lifecycle/rollout/"' in line]
