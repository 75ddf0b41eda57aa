"""Routes of lifecycle. A trailing slash is optional; a raw query is one path segment."""

from django.urls import re_path

from lifecycle import machineurls, rollouturls
from lifecycle.views.fleetlock import PreRebootView, SteadyStateView
from lifecycle.views.installs import (
    InstallAuthorizationView,
    InstallReportListView,
    InstallReportView,
)
from lifecycle.views.progress import ProgressListView, ProgressView
from lifecycle.views.reports import IgnitionReportListView, IgnitionReportView
from lifecycle.views.strategies import StrategyListView, StrategyView

urlpatterns = [
    re_path(r"^install-authorization/(?P<raw_query>.+?)/?$", InstallAuthorizationView.as_view()),
    re_path(r"^lifecycle/coreos-install/?$", InstallReportListView.as_view()),
    re_path(
        r"^lifecycle/coreos-install/(?P<status>[^/]+)/(?P<raw_query>.+?)/?$",
        InstallReportView.as_view(),
    ),
    re_path(r"^lifecycle/ignition/?$", IgnitionReportListView.as_view()),
    re_path(r"^lifecycle/ignition/(?P<raw_query>.+?)/?$", IgnitionReportView.as_view()),
    re_path(r"^lifecycle/rolling/?$", StrategyListView.as_view()),
    re_path(r"^lifecycle/rolling/(?P<raw_query>.+?)/?$", StrategyView.as_view()),
    re_path(r"^lifecycle/progress/?$", ProgressListView.as_view()),
    re_path(r"^lifecycle/progress/(?P<raw_query>.+?)/?$", ProgressView.as_view()),
    re_path(r"^v1/pre-reboot/?$", PreRebootView.as_view()),
    re_path(r"^v1/steady-state/?$", SteadyStateView.as_view()),
    *machineurls.urlpatterns,
    *rollouturls.urlpatterns,
]
