"""Routes of /api/v1 about policies and rollouts. A trailing slash is optional."""

from django.urls import re_path

from lifecycle.views.policies import FreezesView, FreezeView, PoliciesView, PolicyView
from lifecycle.views.rollouts import (
    PlacesView,
    RolloutActionView,
    RolloutsView,
    RolloutView,
    SlotsView,
    StartView,
    WhyMachineView,
    WhyRolloutView,
)

_POLICY = r"^api/v1/policies/(?P<policy>[^/]+)"
_ROLLOUT = r"^api/v1/rollouts/(?P<rollout>[^/]+)"

urlpatterns = [
    re_path(r"^api/v1/policies/?$", PoliciesView.as_view()),
    re_path(rf"{_POLICY}/?$", PolicyView.as_view()),
    re_path(rf"{_POLICY}/start/?$", StartView.as_view()),
    re_path(r"^api/v1/rollouts/?$", RolloutsView.as_view()),
    re_path(rf"{_ROLLOUT}/?$", RolloutView.as_view()),
    re_path(rf"{_ROLLOUT}/machines/?$", PlacesView.as_view()),
    re_path(rf"{_ROLLOUT}/(?P<action>[^/]+)/?$", RolloutActionView.as_view()),
    re_path(r"^api/v1/freezes/?$", FreezesView.as_view()),
    re_path(r"^api/v1/freezes/(?P<freeze_id>[^/]+)/?$", FreezeView.as_view()),
    re_path(r"^api/v1/slots/?$", SlotsView.as_view()),
    re_path(r"^api/v1/why/machines/(?P<machine>[^/]+)/?$", WhyMachineView.as_view()),
    re_path(r"^api/v1/why/rollouts/(?P<rollout>[^/]+)/?$", WhyRolloutView.as_view()),
]
