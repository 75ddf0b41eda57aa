"""What the pages over intent share: the actor, and actions that answer row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django import forms
from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminTextInputWidget

from enjoliver.common.errors import EngineError

Row = TypeVar("Row", bound=Model)


class ReasonForm(ActionForm):  # type: ignore[misc] # unfold is untyped
    """Beside the action: why it is done, kept in the timeline."""

    reason = forms.CharField(
        required=False,
        max_length=200,
        label="",
        widget=UnfoldAdminTextInputWidget({"placeholder": "Reason, kept in the timeline"}),
    )


def actor_of(request: HttpRequest) -> str:
    """Who is kept as the author of a change."""
    return request.user.get_username()


def reason_of(request: HttpRequest) -> str:
    """The reason that stands beside the action."""
    return request.POST.get("reason", "").strip()[:200]


def for_each(
    page: Any, request: HttpRequest, rows: Iterable[Row], call: Callable[[Row], object], done: str
) -> None:
    """Call the service for each row; one message for those that went well, one for each failure."""
    number = 0
    for row in rows:
        try:
            call(row)
            number += 1
        except EngineError as error:
            page.message_user(request, f"{row}: {error.value}", messages.ERROR)
    if number:
        page.message_user(request, f"{number} {done}.", messages.SUCCESS)
