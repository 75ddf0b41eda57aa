"""What all pages over reported things share: nobody adds, edits or deletes them by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from enjoliver.common.addresses import normalise_mac

Column = TypeVar("Column", bound=Callable[..., Any])


class ReportedAdmin(ModelAdmin):  # type: ignore[misc] # unfold is untyped
    """A page over rows that machines or the engine write."""

    list_per_page = 50
    show_full_result_count = False
    actions_on_bottom = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Machines report; people do not make facts up."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """What was reported is not edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """What was reported goes by pruning, or with its machine."""
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        """MACs are found in any spelling."""
        with contextlib.suppress(ValueError):
            search_term = normalise_mac(search_term.strip())
        results: tuple[Any, bool] = super().get_search_results(request, queryset, search_term)
        return results


class ReadOnlyInline(TabularInline):  # type: ignore[misc] # unfold is untyped
    """Rows of a machine, shown with it."""

    extra = 0
    can_delete = False
    per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """As for `ReportedAdmin`."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """As for `ReportedAdmin`."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """As for `ReportedAdmin`."""
        return False


def badge(
    *, description: str, ordering: str, label: str | Mapping[str, str]
) -> Callable[[Column], Column]:
    """A column shown as a coloured badge: one colour, or one for each text (unfold's `display`)."""
    return cast(
        "Callable[[Column], Column]",
        display(description=description, ordering=ordering, label=label),
    )


def preformatted(text: str) -> SafeString:
    """`text` as it is, in a box that scrolls."""
    return format_html(
        '<pre style="white-space: pre-wrap; overflow: auto; max-height: 40rem">{}</pre>', text
    )
