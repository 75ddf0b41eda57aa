"""The Celery application. Tasks are hints: beat re-derives all work from the database."""

import os
from pathlib import Path

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "enjoliver.settings")

app = Celery("enjoliver")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

for _folder in ("data_folder_in", "control_folder"):
    # Kombu's filesystem transport wants its folders to be there.
    if _path := settings.CELERY_BROKER_TRANSPORT_OPTIONS.get(_folder):
        Path(_path).mkdir(parents=True, exist_ok=True)
