"""The yardstick before all routes of the engine."""

from django.urls import include, path

from bench.yardstick.views import bare_report

urlpatterns = [
    path("yardstick/<str:mac>", bare_report),
    path("", include("enjoliver.urls")),
]

handler400 = "enjoliver.engine.errors.bad_request"
handler403 = "enjoliver.engine.errors.forbidden"
handler404 = "enjoliver.engine.errors.not_found"
handler500 = "enjoliver.engine.errors.server_error"
