"""The engine's settings plus the yardstick's table and route; for processes of the bench only."""

from enjoliver.settings import *  # noqa: F403 - all of them, as they are

INSTALLED_APPS = [*INSTALLED_APPS, "bench.yardstick"]  # noqa: F405
ROOT_URLCONF = "bench.urls"
