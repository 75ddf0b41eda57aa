"""All routes. Each app lists its own; the order matters only for the raw-query catch-alls."""

from django.contrib import admin
from django.urls import path

urlpatterns = [
    path("admin/", admin.site.urls),
]
