"""How many machines may install at once."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from enjoliver.common.console import actor_of
from enjoliver.common.errors import EngineError
from lifecycle.models import InstallLimit
from lifecycle.services import remove_limit, set_limit


@admin.register(InstallLimit)
class InstallLimitAdmin(ModelAdmin):  # type: ignore[misc] # unfold is untyped
    """Limits for a site, a rack, an asset server, or each of them."""

    list_display = ("scope", "where", "concurrency")
    list_filter = ("scope",)
    show_full_result_count = False
    empty_says = (
        "No limits: each site has ENJOLIVER_INSTALL_CONCURRENCY places, racks and asset servers "
        "any number."
    )
    fields = ("scope", "name", "concurrency")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A limit stays that of what it is for."""
        return ("scope", "name") if obj else ()

    @admin.display(description="where", ordering="name")
    def where(self, limit: InstallLimit) -> str:
        """Its name, or each one."""
        return limit.name or "each one without a limit of its own"

    def save_model(self, request: HttpRequest, obj: InstallLimit, form: Any, change: bool) -> None:
        """Through the service, which notes it."""
        try:
            row = set_limit(
                scope=obj.scope,
                name=obj.name,
                concurrency=obj.concurrency,
                actor=actor_of(request),
            )
            obj.pk = row.pk
        except EngineError as error:
            self.message_user(request, error.value, messages.ERROR)

    def delete_model(self, request: HttpRequest, obj: InstallLimit) -> None:
        """Through the service."""
        remove_limit(scope=obj.scope, name=obj.name, actor=actor_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[InstallLimit]) -> None:
        """Through the service."""
        for limit in queryset:
            self.delete_model(request, limit)
