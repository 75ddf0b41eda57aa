"""Routes of /api/v1 about single machines. A trailing slash is optional."""

from django.urls import re_path

from lifecycle.views.limits import InstallLimitsView, InstallQueueView
from lifecycle.views.machines import (
    MaintenanceListView,
    MaintenanceView,
    ReadmitView,
    ReinstallView,
    RetireView,
)
from lifecycle.views.replacements import (
    ReplacementAgainView,
    ReplacementCancelView,
    ReplacementPlanView,
    ReplacementsView,
    ReplacementView,
)

_MACHINE = r"^api/v1/machines/(?P<machine>[^/]+)"
_REPLACEMENT = r"^api/v1/replacements/(?P<replacement_id>[^/]+)"

urlpatterns = [
    re_path(r"^api/v1/maintenance/?$", MaintenanceListView.as_view()),
    re_path(r"^api/v1/maintenance/(?P<machine>[^/]+)/?$", MaintenanceView.as_view()),
    re_path(rf"{_MACHINE}/retire/?$", RetireView.as_view()),
    re_path(rf"{_MACHINE}/readmit/?$", ReadmitView.as_view()),
    re_path(rf"{_MACHINE}/reinstall/?$", ReinstallView.as_view()),
    re_path(r"^api/v1/replacement-plan/?$", ReplacementPlanView.as_view()),
    re_path(r"^api/v1/replacements/?$", ReplacementsView.as_view()),
    re_path(rf"{_REPLACEMENT}/?$", ReplacementView.as_view()),
    re_path(rf"{_REPLACEMENT}/again/?$", ReplacementAgainView.as_view()),
    re_path(rf"{_REPLACEMENT}/cancel/?$", ReplacementCancelView.as_view()),
    re_path(r"^api/v1/install-queue/?$", InstallQueueView.as_view()),
    re_path(r"^api/v1/install-limits/?$", InstallLimitsView.as_view()),
]
