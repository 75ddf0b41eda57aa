"""The project package: settings, URLs, Celery, the engine's own app; apps import `common` only."""

from enjoliver.celery import app as celery_app

__all__ = ["celery_app"]
