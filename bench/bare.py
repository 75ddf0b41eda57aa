"""An empty Django with one view: what the engine's memory and start are measured against."""

from __future__ import annotations

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path


def answer(request: HttpRequest) -> HttpResponse:
    """Any answer."""
    return HttpResponse("ok")


urlpatterns = [path("livez", answer)]


def make_application() -> WSGIHandler:
    """Django with nothing installed."""
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="bare")
    return get_wsgi_application()


application = make_application()
