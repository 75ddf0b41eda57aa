"""Changes that wait for a decision: what, why, approve or reject."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from unfold.decorators import display

from enjoliver.common.console import actor_of, reason_of
from enjoliver.common.errors import EngineError, InvalidInput
from machines.admin import ReportedAdmin
from machines.admin.base import badge
from matchbox_sync.models import ChangeState, PendingChange, PlanRun
from matchbox_sync.services import approve_change, reject_change

_BADGES = {
    ChangeState.WAITING.label: "warning",
    ChangeState.APPROVED.label: "success",
    ChangeState.REJECTED.label: "danger",
    ChangeState.SUPERSEDED.label: "info",
}
_SAYS = {
    "approve": "approved: the next sync makes it a revision",
    "reject": "rejected: it stays out of force for as long as templates or values say it",
}
_DECISIONS = {"approve": approve_change, "reject": reject_change}


@admin.register(PendingChange)
class PendingChangeAdmin(ReportedAdmin):
    """Nothing of a waiting change is rendered into a revision, nothing of it is published."""

    list_display = ("summary", "state_badge", "why", "author", "created_at", "decided_by")
    list_select_related = ("cluster",)
    list_filter = ("state", ("closed_at", admin.EmptyFieldListFilter))
    ordering = ("-pk",)
    empty_says = "No change had to wait: that is so where a policy requires an approval."
    fieldsets = (
        (
            None,
            {"fields": ("summary", "state", "why", "profiles_affected", "author", "created_at")},
        ),
        ("Decision", {"fields": ("decided_by", "decided_at", "reason", "revision", "closed_at")}),
    )
    readonly_fields = ("profiles_affected",)
    change_form_outer_before_template = "admin/matchbox_sync/decide.html"

    @badge(description="state", ordering="state", label=_BADGES)
    def state_badge(self, change: PendingChange) -> str:
        """What was decided."""
        return change.get_state_display()

    @display(description="profiles")  # type: ignore[untyped-decorator]
    def profiles_affected(self, change: PendingChange) -> str:
        """Whose configs would change."""
        return ", ".join(change.affected)

    def get_urls(self) -> list[URLPattern]:
        """Also where the decision is sent to."""
        page = self.admin_site.admin_view(self.decide_page)
        urls: list[URLPattern] = super().get_urls()
        return [
            path("<int:pk>/<str:decision>/decide/", page, name="matchbox_sync_decide"),
            *urls,
        ]

    def decide_page(self, request: HttpRequest, pk: int, decision: str) -> HttpResponse:
        """Approve or reject, and back to the change."""
        may = request.user.has_perm("matchbox_sync.change_pendingchange")
        if request.method != "POST" or not may or decision not in _DECISIONS:
            raise PermissionDenied
        change, reason = get_object_or_404(PendingChange, pk=pk), reason_of(request)
        try:
            if decision == "reject" and not reason:
                raise InvalidInput("Say why it is rejected: its author will want to know.")
            _DECISIONS[decision](change=change, actor=actor_of(request), reason=reason)
        except EngineError as error:
            messages.error(request, error.value)
        else:
            messages.success(request, f"Change {change.pk} is {_SAYS[decision]}.")
        return HttpResponseRedirect(
            reverse("admin:matchbox_sync_pendingchange_change", args=[change.pk])
        )

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponseBase:
        """With the decisions that can be made, and the newest plan of the change."""
        change = self.get_object(request, object_id) if object_id else None
        context = {**(extra_context or {}), "change_": _shown(change) if change else None}
        answer: HttpResponseBase = super().changeform_view(request, object_id, form_url, context)
        return answer


def _shown(change: PendingChange) -> dict[str, Any]:
    is_open = change.closed_at is None
    return {
        "row": change,
        "can_approve": is_open and change.state != ChangeState.APPROVED,
        "can_reject": is_open and change.state != ChangeState.REJECTED,
        "plan": PlanRun.objects.filter(request__pending=change.pk).order_by("-pk").first(),
    }
