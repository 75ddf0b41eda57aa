"""What the console's actions share: who did it, why, and an answer row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from django import forms
from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminTextInputWidget

from enjoliver.common.errors import EngineError
from enjoliver.common.words import counted

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


def run_for_each(
    request: HttpRequest,
    rows: Iterable[Row],
    call: Callable[[Row], object],
    done: tuple[str, str],
) -> None:
    """Call a service for each row; a message per failure and one for those that went well.

    `done` completes the sentences "1 …" and "5 …", as in ("machine is back", "machines are back").
    """
    succeeded = refused = 0
    for row in rows:
        try:
            call(row)
        except EngineError as error:
            messages.error(request, f"{row}: {error.value}")
            refused += 1
        else:
            succeeded += 1
    if succeeded:
        messages.success(request, f"{counted(succeeded, *done)}.")
    if not succeeded and not refused:
        messages.warning(request, "Nothing is changed: this is for none of those you selected.")
