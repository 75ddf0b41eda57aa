"""Routes of scheduling. A trailing slash is optional."""

from django.urls import re_path

from scheduling import views

urlpatterns = [
    re_path(r"^scheduler/?$", views.SchedulerView.as_view()),
    re_path(r"^scheduler/available/?$", views.AvailableView.as_view()),
    re_path(r"^scheduler/ip-list/(?P<role>[^/]+)/?$", views.AddressesView.as_view()),
    re_path(r"^scheduler/(?P<role>[^/]+)/?$", views.HoldersView.as_view()),
]
