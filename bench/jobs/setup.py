"""Django with the settings of the bench."""

from __future__ import annotations

import importlib
import os


def set_up_django() -> None:
    """Set Django up for this process and, by the environment, for what it becomes."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
    # First, and not by the settings: its Celery app reads them while it is imported.
    importlib.import_module("enjoliver")
    importlib.import_module("django").setup()
    settings = importlib.import_module("django.conf").settings
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # as `make run` does
