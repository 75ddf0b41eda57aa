"""The engine's own routes."""

from django.urls import path, re_path

from enjoliver.engine.views.health import HealthView, LiveView, ReadyView
from enjoliver.engine.views.index import ApiDocsView, ApiSpecView, ConsoleView, IndexView
from enjoliver.engine.views.metrics import MetricsView
from enjoliver.engine.views.operator import (
    BackupDatabaseView,
    BackupExportView,
    ConfigView,
    ShutdownView,
)
from enjoliver.engine.views.overview import MachinesView, StatesView

urlpatterns = [
    path("", IndexView.as_view(), name="index"),
    re_path(r"^healthz/?$", HealthView.as_view(), name="healthz"),
    re_path(r"^livez/?$", LiveView.as_view(), name="livez"),
    re_path(r"^readyz/?$", ReadyView.as_view(), name="readyz"),
    re_path(r"^metrics/?$", MetricsView.as_view(), name="metrics"),
    re_path(r"^ui/?$", ConsoleView.as_view(), name="ui"),
    re_path(r"^ui/view/machine/?$", MachinesView.as_view(), name="view-machine"),
    re_path(r"^ui/view/states/?$", StatesView.as_view(), name="view-states"),
    re_path(r"^config/?$", ConfigView.as_view(), name="config"),
    re_path(r"^configs/?$", ConfigView.as_view(), name="configs"),
    re_path(r"^backup/export/?$", BackupExportView.as_view(), name="backup-export"),
    re_path(r"^backup/db/?$", BackupDatabaseView.as_view(), name="backup-db"),
    re_path(r"^shutdown/?$", ShutdownView.as_view(), name="shutdown"),
    re_path(r"^apidocs/?$", ApiDocsView.as_view(), name="apidocs"),
    re_path(r"^apidocs/index\.html/?$", ApiDocsView.as_view(), name="apidocs-index"),
    re_path(r"^apispec_1\.json/?$", ApiSpecView.as_view(), name="openapi"),
]
