"""The console's menu: what is needed at 3 a.m. first, every other page of the console below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Fleet",
        (
            "machines.Machine",
            "scheduling.Waiting",
            "machines.MachineConflict",
            "lifecycle.Maintenance",
            "machines.Event",
        ),
    ),
    (
        "Changes",
        (
            "lifecycle.Rollout",
            "matchbox_sync.PendingChange",
            "matchbox_sync.Revision",
            "matchbox_sync.PlanRun",
            "matchbox_sync.Problem",
            "lifecycle.IgnitionReport",
        ),
    ),
    (
        "Rules",
        (
            "lifecycle.RollingPolicy",
            "lifecycle.Freeze",
            "lifecycle.HealthGate",
            "lifecycle.Slot",
            "lifecycle.MachineStrategy",
        ),
    ),
    (
        "Cluster",
        (
            "scheduling.Cluster",
            "scheduling.RoleRule",
            "scheduling.Assignment",
            "lifecycle.Replacement",
        ),
    ),
    (
        "Installs",
        ("lifecycle.InstallAttempt", "lifecycle.InstallWaiter", "lifecycle.InstallLimit"),
    ),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's groups of links. Each page that this user may see stands in it once, also one that
    no group names: it is found below the name of its app. No query."""
    apps = admin.site.get_app_list(request)
    pages = {_label(model): model for app in apps for model in app["models"]}
    first = {"title": "Overview", "icon": "home", "link": reverse("admin:index")}
    assets = {"title": "Assets", "link": reverse("admin:matchbox_sync_assets")}
    may_see_assets = "matchbox_sync.ProfileVersion" in pages
    menu: list[dict[str, Any]] = [{"items": [first]}]
    for title, labels in _GROUPS:
        menu.append(_group(title, (pages.pop(label) for label in labels if label in pages)))
    menu[-1]["items"] += [assets] if may_see_assets else []
    for app in apps:
        rest = [model for model in app["models"] if _label(model) in pages]
        menu.append(_group(app["name"], rest) | {"collapsible": True})
    return [group for group in menu if group["items"]]


def _label(model: dict[str, Any]) -> str:
    label: str = model["model"]._meta.label
    return label


def _group(title: str, models: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"title": title, "items": list(_links(models))}


def _links(models: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for model in models:
        if model["admin_url"]:
            yield {"title": model["name"], "link": model["admin_url"]}
