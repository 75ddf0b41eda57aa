"""The console's pages on derived configuration: all read-only, it is only derived again."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, path
from django.utils.html import format_html

from machines.admin import ReportedAdmin
from matchbox_sync.documents import load_document
from matchbox_sync.models import (
    MachineConfig,
    Problem,
    ProfileInForce,
    ProfileVersion,
    ReportedTemplate,
    SyncState,
)
from matchbox_sync.views.assetspage import assets_page

_SHOWN_BYTES = 200_000


@admin.register(MachineConfig)
class MachineConfigAdmin(ReportedAdmin):
    """The config of one machine from one revision on, with its document."""

    list_display = ("machine", "revision", "version", "mac", "short_digest")
    list_select_related = ("machine", "revision", "version")
    search_fields = ("mac", "machine__uuid", "document__sha512")
    list_filter = ("version__profile",)
    fields = ("machine", "revision", "version", "mac", "fingerprint", "digest", "document_text")
    readonly_fields = ("digest", "document_text")

    @admin.display(description="SHA-512")
    def short_digest(self, config: MachineConfig) -> str:
        return config.document_id[:16]

    @admin.display(description="SHA-512")
    def digest(self, config: MachineConfig) -> str:
        return config.document_id

    @admin.display(description="Ignition")
    def document_text(self, config: MachineConfig) -> str:
        text = load_document(config.document_id)[:_SHOWN_BYTES].decode(errors="replace")
        return format_html('<pre style="white-space:pre-wrap;max-height:60vh">{}</pre>', text)


@admin.register(Problem)
class ProblemAdmin(ReportedAdmin):
    """What the last sync could not do, and where."""

    list_display = ("stage", "profile", "machine", "message", "since")
    empty_says = "The last sync had no problems."
    list_select_related = ("machine",)
    list_filter = ("stage", "profile")
    search_fields = ("message", "machine__uuid", "machine__boot_mac")


@admin.register(ProfileVersion)
class ProfileVersionAdmin(ReportedAdmin):
    """Verified contents of profiles: template, boot part, iPXE script."""

    list_display = ("profile", "cluster", "short_fingerprint", "template_name", "created_at")
    list_select_related = ("cluster",)
    list_filter = ("profile",)
    exclude = ("document",)

    def get_urls(self) -> list[URLPattern]:
        """Also the page of the files that profiles boot, which are no rows."""
        page = self.admin_site.admin_view(assets_page)
        urls: list[URLPattern] = super().get_urls()
        return [path("assets/", page, name="matchbox_sync_assets"), *urls]

    @admin.display(description="fingerprint")
    def short_fingerprint(self, version: ProfileVersion) -> str:
        return version.fingerprint[:16]


@admin.register(ProfileInForce)
class ProfileInForceAdmin(ReportedAdmin):
    """The newest verified version of each profile."""

    list_display = ("profile", "cluster", "version")
    list_select_related = ("cluster", "version")


@admin.register(SyncState)
class SyncStateAdmin(ReportedAdmin):
    """When the sync ran, what it did, and the gate."""

    list_display = (
        "cluster",
        "outcome",
        "done",
        "total",
        "duration_seconds",
        "finished_at",
        "notified_at",
    )
    list_select_related = ("cluster",)


@admin.register(ReportedTemplate)
class ReportedTemplateAdmin(ReportedAdmin):
    """Template texts that somebody recorded for readers."""

    list_display = ("name", "updated_at")
