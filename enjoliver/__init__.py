"""The project package: settings, URLs, Celery app, health. Imports the apps; only `common` is imported by them."""

from enjoliver.celery import app as celery_app

__all__ = ["celery_app"]
