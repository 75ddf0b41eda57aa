"""All routes. Each app lists its own; the order matters only for the raw-query catch-alls."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    # First: each machine reports there each minute, and Django tries one route after another.
    path("", include("lifecycle.urls")),
    path("admin/", admin.site.urls),
    path("", include("enjoliver.engine.urls")),
    path("", include("machines.urls")),
    path("", include("scheduling.urls")),
    path("", include("matchbox_sync.urls")),
]

handler400 = "enjoliver.engine.errors.bad_request"
handler403 = "enjoliver.engine.errors.forbidden"
handler404 = "enjoliver.engine.errors.not_found"
handler500 = "enjoliver.engine.errors.server_error"
