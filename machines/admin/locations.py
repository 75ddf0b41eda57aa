"""Where machines stand, and what operators said about it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from enjoliver.common.console import actor_of
from machines.admin.base import ReadOnlyInline, ReportedAdmin
from machines.models import ImportedLocation, MachineLocation
from machines.services import forget_locations, import_locations
from machines.topology import LEVELS, Location, normalise_key

_NAMES = tuple(level.value for level in LEVELS)


class MachineLocationInline(ReadOnlyInline):
    """Where the machine stands, on its page."""

    model = MachineLocation
    fields = readonly_fields = [*_NAMES]
    ordering = ("pk",)
    verbose_name = verbose_name_plural = "where it stands"


@admin.register(MachineLocation)
class MachineLocationAdmin(ReportedAdmin):
    """Derived from imports, labels, switches and names; changed by changing one of them."""

    list_display = ("machine", *_NAMES)
    list_select_related = ("machine",)
    list_filter = ("site",)
    search_fields = ("machine__boot_mac", "machine__uuid", "rack", "chassis")
    ordering = ("site", "row", "rack", "machine_id")


class ImportedLocationForm(forms.ModelForm):  # type: ignore[type-arg] # no generics at run time
    """One line of an import."""

    class Meta:
        model = ImportedLocation
        fields = ("key", *_NAMES)

    def clean_key(self) -> str:
        """In the one spelling that is stored."""
        return normalise_key(self.cleaned_data["key"])


@admin.register(ImportedLocation)
class ImportedLocationAdmin(ModelAdmin):  # type: ignore[misc] # unfold is untyped
    """Lines of imports. Whole lists come by `manage.py location import` or the API."""

    form = ImportedLocationForm
    list_display = ("key", *_NAMES, "imported_by", "imported_at")
    list_filter = ("site",)
    search_fields = ("key", "rack")
    show_full_result_count = False
    empty_says = "Nothing was imported: places come from labels, switches and names."

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A line keeps its key: another key is another line."""
        return ("key",) if obj else ()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Through the service, which moves the machine too."""
        place = Location(**{name: getattr(obj, name).strip() for name in _NAMES})
        import_locations(places={obj.key: place}, actor=actor_of(request))
        obj.pk = ImportedLocation.objects.get(key=normalise_key(obj.key)).pk

    def delete_model(self, request: HttpRequest, obj: ImportedLocation) -> None:
        """Through the service."""
        forget_locations(keys=[obj.key], actor=actor_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ImportedLocation]) -> None:
        """Through the service."""
        keys = list(queryset.values_list("key", flat=True))
        forget_locations(keys=keys, actor=actor_of(request))
