"""Routes of scheduling. A trailing slash is optional."""

from django.urls import re_path

from scheduling import placementviews, views

urlpatterns = [
    re_path(r"^api/v1/placement/?$", placementviews.PlacementView.as_view()),
    re_path(r"^api/v1/placement/loss/?$", placementviews.LossView.as_view()),
    re_path(r"^api/v1/role-rules/?$", placementviews.RoleRulesView.as_view()),
    re_path(r"^api/v1/role-rules/(?P<rule_role>[^/]+)/?$", placementviews.RoleRuleView.as_view()),
    re_path(r"^scheduler/?$", views.SchedulerView.as_view()),
    re_path(r"^scheduler/available/?$", views.AvailableView.as_view()),
    re_path(r"^scheduler/ip-list/(?P<role>[^/]+)/?$", views.AddressesView.as_view()),
    re_path(r"^scheduler/(?P<role>[^/]+)/?$", views.HoldersView.as_view()),
]
