"""Revisions in the console: what came when and why, what lies between two, going back."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from unfold.decorators import display

from enjoliver.common.console import actor_of, reason_of
from enjoliver.common.errors import EngineError
from machines.admin import ReportedAdmin
from machines.admin.base import preformatted
from matchbox_sync.models import DesiredConfig, Revision
from matchbox_sync.services import previous_content, roll_back
from scheduling.valuefiles import format_values

SHOWN_REVISIONS = 60


@admin.register(Revision)
class RevisionAdmin(ReportedAdmin):
    """Which configuration came when, and why."""

    list_display = (
        "number",
        "state",
        "cause",
        "reason",
        "author",
        "machines_changed",
        "created_at",
    )
    list_display_links = ("number", "cause")
    list_filter = ("cluster",)
    list_select_related = ("cluster",)
    search_fields = ("cause", "reason", "author", "fingerprint")
    fieldsets = (
        (None, {"fields": ("number", "cluster", "cause", "author", "reason")}),
        ("When", {"fields": ("created_at", "completed_at", "machines_changed", "fingerprint")}),
        ("Values", {"fields": ("all_values",), "classes": ["collapse"]}),
    )
    readonly_fields = ("all_values",)
    change_form_outer_before_template = "admin/matchbox_sync/revision.html"

    @display(  # type: ignore[untyped-decorator]
        description="state", label={"in force": "success", "being made": "info", "earlier": ""}
    )
    def state(self, revision: Revision) -> str:
        """The newest revision is the one in force."""
        if getattr(revision, "is_newest", False):
            return "in force" if revision.completed_at else "being made"
        return "earlier"

    @display(description="values")  # type: ignore[untyped-decorator]
    def all_values(self, revision: Revision) -> SafeString:
        """As YAML; what an older release made has none."""
        return preformatted(format_values(revision.values) if revision.values else "not kept")

    def get_queryset(self, request: HttpRequest) -> Any:
        """With the answer whether a revision is its cluster's newest one."""
        later = Revision.objects.filter(cluster=OuterRef("cluster"), number__gt=OuterRef("number"))
        return super().get_queryset(request).annotate(is_newest=~Exists(later))

    def get_urls(self) -> list[URLPattern]:
        """Also where a rollback is sent to."""
        page = self.admin_site.admin_view(self.rollback_page)
        urls: list[URLPattern] = super().get_urls()
        return [path("<int:pk>/rollback/", page, name="matchbox_sync_rollback"), *urls]

    def rollback_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make this revision's content the one in force again, and go to the new revision."""
        if request.method != "POST" or not request.user.has_perm("matchbox_sync.add_revision"):
            raise PermissionDenied
        revision = get_object_or_404(Revision.objects.select_related("cluster"), pk=pk)
        reason = reason_of(request)
        if not reason:
            messages.error(request, "Say why you go back: the reason is kept with the revision.")
            return _to(revision)
        try:
            made = roll_back(
                cluster=revision.cluster,
                revision=revision,
                actor=actor_of(request),
                reason=reason,
            )
        except EngineError as error:
            messages.error(request, error.value)
            return _to(revision)
        messages.success(
            request, f"Revision {made.number} has the content of revision {revision.number}."
        )
        return _to(made)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponseBase:
        """With the other revisions to compare with, and where the machines are."""
        revision = self.get_object(request, object_id) if object_id else None
        context = {**(extra_context or {}), "revision_": _shown(revision) if revision else None}
        answer: HttpResponseBase = super().changeform_view(request, object_id, form_url, context)
        return answer


def _to(revision: Revision) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:matchbox_sync_revision_change", args=[revision.pk]))


def _shown(revision: Revision) -> dict[str, Any]:
    others = Revision.objects.filter(cluster=revision.cluster_id).exclude(pk=revision.pk)
    is_newest = getattr(revision, "is_newest", False)
    desired = DesiredConfig.objects.filter(config__revision=revision.pk)
    newest = DesiredConfig.objects.filter(newest__revision=revision.pk)
    return {
        "row": revision,
        "is_newest": is_newest,
        "earlier": previous_content(revision) if is_newest else None,
        "others": list(others.only("number", "cause")[:SHOWN_REVISIONS]),
        "desired": desired.count(),
        "newest": newest.count(),
        "previous": DesiredConfig.objects.filter(previous__revision=revision.pk).count(),
    }
