"""FleetLock groups and who holds their slots."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from enjoliver.common.console import ReasonForm, actor_of, reason_of, run_for_each
from lifecycle.admin.common import MACHINE, MACHINE_SEARCH, LifecycleAdmin
from lifecycle.models import LockGroup, Slot
from lifecycle.services import release_slot
from machines.admin import ReadOnlyInline
from machines.admin.base import badge


class HeldSlotInline(ReadOnlyInline):
    """Who holds a slot of this group."""

    model = Slot
    fields = readonly_fields = ["holder", "machine", "phase", "acquired_at", "last_seen_at"]


@admin.register(LockGroup)
class LockGroupAdmin(LifecycleAdmin):
    """Groups: how many machines may be away at once."""

    list_display = ("name", "slots", "policy", "domain", "holders")
    list_select_related = ("policy",)
    search_fields = ("name",)
    inlines = [HeldSlotInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[LockGroup]:
        """With the holders in one further query."""
        groups: QuerySet[LockGroup] = super().get_queryset(request)
        return groups.prefetch_related("held")

    def holders(self, group: LockGroup) -> str:
        """Who is away."""
        return ", ".join(slot.holder for slot in group.held.all())


@admin.register(Slot)
class SlotAdmin(LifecycleAdmin):
    """Held slots, the oldest first. A slot never frees itself."""

    list_display = (
        "machine_name",
        "group",
        "phase_badge",
        "acquired_at",
        "last_seen_at",
        "deadline_at",
        "holder",
    )
    list_select_related = ("group", MACHINE)
    list_filter = ("phase", "group")
    search_fields = ("holder", *MACHINE_SEARCH)
    actions = ("release",)
    action_form = ReasonForm
    ordering = ("acquired_at",)
    empty_says = "No slot is held: nobody is away for an update."

    @badge(description="phase", ordering="phase", label={"lost": "danger", "": "info"})
    def phase_badge(self, slot: Slot) -> str:
        """What its holder does; empty where nobody watches it."""
        return slot.get_phase_display() if slot.deadline_at else ""

    @admin.action(
        description="Release the slot: its holder will not come back", permissions=["operate"]
    )
    def release(self, request: HttpRequest, rows: QuerySet[Slot]) -> None:
        """Free slots by hand."""
        actor, reason = actor_of(request), reason_of(request)
        run_for_each(
            request,
            rows.select_related("machine"),
            lambda slot: release_slot(slot=slot, actor=actor, reason=reason),
            done=("slot is released", "slots are released"),
        )
