"""Routes of the boot and of the sync."""

from django.urls import re_path

from matchbox_sync.views.assets import AssetListView, AssetView
from matchbox_sync.views.boot import (
    BootIpxeView,
    IgnitionPxeView,
    IgnitionView,
    IpxeView,
    MetadataView,
)
from matchbox_sync.views.plans import (
    DecisionView,
    PendingChangesView,
    PendingChangeView,
    PlanRunView,
    PlanView,
)
from matchbox_sync.views.revisions import (
    DesiredView,
    RevisionDiffView,
    RevisionsView,
    RevisionView,
    RollbackView,
)
from matchbox_sync.views.sync import SyncNotifyView, TemplatesView, TemplateView

urlpatterns = [
    re_path(r"^boot\.ipxe/?$", BootIpxeView.as_view()),
    re_path(r"^boot\.ipxe\.0/?$", BootIpxeView.as_view()),
    re_path(r"^ipxe/?$", IpxeView.as_view()),
    re_path(r"^ignition/?$", IgnitionView.as_view()),
    re_path(r"^ignition-pxe/?$", IgnitionPxeView.as_view()),
    re_path(r"^ignition/version/?$", TemplatesView.as_view()),
    re_path(r"^ignition/version/(?P<name>[^/]+)/?$", TemplateView.as_view()),
    re_path(r"^metadata/?$", MetadataView.as_view()),
    re_path(r"^assets/?$", AssetListView.as_view()),
    re_path(r"^assets/(?P<path>.+)$", AssetView.as_view()),
    re_path(r"^sync-notify/?$", SyncNotifyView.as_view()),
    re_path(r"^api/v1/plan/?$", PlanView.as_view()),
    re_path(r"^api/v1/plan/(?P<plan_id>[^/]+)/?$", PlanRunView.as_view()),
    re_path(r"^api/v1/revisions/?$", RevisionsView.as_view()),
    re_path(r"^api/v1/revisions/(?P<number>[^/]+)/?$", RevisionView.as_view()),
    re_path(r"^api/v1/revisions/(?P<number>[^/]+)/rollback/?$", RollbackView.as_view()),
    re_path(
        r"^api/v1/revisions/(?P<other>[^/]+)/diff/(?P<number>[^/]+)/?$", RevisionDiffView.as_view()
    ),
    re_path(r"^api/v1/desired-configs/?$", DesiredView.as_view()),
    re_path(r"^api/v1/pending-changes/?$", PendingChangesView.as_view()),
    re_path(r"^api/v1/pending-changes/(?P<change_id>[^/]+)/?$", PendingChangeView.as_view()),
    re_path(
        r"^api/v1/pending-changes/(?P<change_id>[^/]+)/(?P<decision>[^/]+)/?$",
        DecisionView.as_view(),
    ),
]
