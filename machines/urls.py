"""Routes of machines: discovery and its reads."""

from __future__ import annotations

from django.urls import re_path

from machines import locationviews, views

_JOURNALS = r"^discovery/ignition-journal"

urlpatterns = [
    re_path(r"^api/v1/locations/?$", locationviews.LocationsView.as_view()),
    re_path(r"^discovery/?$", views.DiscoveryView.as_view()),
    re_path(r"^discovery/interfaces/?$", views.InterfacesView.as_view()),
    re_path(rf"{_JOURNALS}/?$", views.JournalsView.as_view()),
    re_path(rf"{_JOURNALS}/(?P<uuid>[^/]+)/?$", views.MachineJournalsView.as_view()),
    re_path(
        rf"{_JOURNALS}/(?P<uuid>[^/]+)/(?P<boot_id>.+?)/?$",
        views.JournalView.as_view(),
    ),
]
