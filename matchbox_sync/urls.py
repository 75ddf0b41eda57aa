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
]
