"""What lifecycle's admin pages share: actions with a reason, a message per failure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from django import forms
from django.contrib import messages
from django.db import models
from django.http import HttpRequest
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminTextInputWidget

from enjoliver.common.errors import EngineError
from machines.admin import ReportedAdmin

Row = TypeVar("Row", bound=models.Model)
MACHINE_SEARCH = ("machine__boot_mac", "machine__uuid")


class LifecycleAdmin(ReportedAdmin):
    """Rows that machines and services write, with, perhaps, actions."""

    list_select_related: bool | Sequence[str] = ("machine",)
    search_fields: Sequence[str] = MACHINE_SEARCH

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """For actions, which call services."""
        return request.user.has_perm(f"lifecycle.change_{self.model._meta.model_name}")


class ReasonForm(ActionForm):  # type: ignore[misc]
    """The action's drop-down with a line for the reason."""

    reason = forms.CharField(
        required=False,
        max_length=300,
        widget=UnfoldAdminTextInputWidget({"placeholder": "Reason (required)"}),
        label="",
    )


def reason_of(request: HttpRequest) -> str:
    """What the operator wrote beside the action."""
    return request.POST.get("reason", "").strip()


def run_for_each(
    request: HttpRequest, rows: Iterable[Row], call: Callable[[Row], object], done: str
) -> None:
    """Call a service for each row; a message per failure and one for those that worked."""
    succeeded = 0
    for row in rows:
        try:
            call(row)
        except EngineError as error:
            messages.error(request, f"{row}: {error.value}")
        else:
            succeeded += 1
    if succeeded:
        messages.success(request, f"{done}: {succeeded}")
